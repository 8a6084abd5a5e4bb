import json
import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nbtools.errors import RequestError
from nbtools.parameter import COMPUTED, near, parse, scalar


def one(source):
    (parameter,) = parse(source)
    return parameter


def test_names_and_literal_defaults_in_their_order():
    found = parse("b = 2\na = 'x'\nc: list[int] = [1, 2]\n")
    assert [(p.name, p.default) for p in found] == [("b", 2), ("a", "x"), ("c", [1, 2])]


def test_a_name_assigned_twice_has_its_last_default():
    assert one("a = 1\na = 2").default == 2


def test_annotations_are_kept_as_written():
    found = parse("a: int = 1\nb: 'float' = 2.0\nc: Optional[str] = None\nd = 4")
    assert [p.annotation for p in found] == ["int", "'float'", "Optional[str]", ""]


def test_type_is_the_annotation_or_else_that_of_the_default():
    found = parse("a: float = 1\nb = 1\nc = None\nd = f()\ne = True")
    assert [p.type for p in found] == ["float", "int", "", "", "bool"]


def test_an_annotation_without_a_value_is_no_parameter():
    assert parse("a: int") == ()


def test_only_plain_assignments_are_parameters():
    source = "import os\na, b = 1, 2\nx.y = 1\nc = d = 3\nif True:\n    e = 1\nf = 5\n"
    assert [p.name for p in parse(source)] == ["f"]


def test_help_is_the_comment_beside():
    assert one("lr = 1e-3  # learning rate").help == "learning rate"


def test_help_is_the_comment_lines_above():
    assert one("# how fast\n# it learns\nlr = 1e-3").help == "how fast it learns"


def test_the_comment_beside_wins_over_the_one_above():
    assert one("# above\nlr = 1  # beside").help == "beside"


def test_a_blank_line_separates_a_comment_from_what_follows():
    assert one("# a heading\n\nlr = 1").help == ""


def test_the_comment_beside_another_assignment_is_not_help():
    assert [p.help for p in parse("a = 1  # one\nb = 2")] == ["one", ""]


@pytest.mark.parametrize("source", ["a = [\n  1,\n]  # sizes", "a = [  # sizes\n  1,\n]"])
def test_help_of_an_assignment_over_several_lines(source):
    assert one(source).help == "sizes"


def test_a_hash_in_a_string_is_no_comment():
    parameter = one("colour = '# fff'")
    assert (parameter.default, parameter.help) == ("# fff", "")


def test_magics_are_passed_over():
    source = "%matplotlib inline\n!pip list\n  %time\nlr = 1  # rate\n"
    assert [(p.name, p.help) for p in parse(source)] == [("lr", "rate")]


def test_a_percent_sign_in_a_string_is_no_magic():
    text = "\n%s rows\n!important\n"
    found = parse(f'query = """{text}"""\n%matplotlib inline\nlr = 1  # rate')
    assert [(p.name, p.default, p.help) for p in found] == [("query", text, ""), ("lr", 1, "rate")]


def test_a_percent_sign_in_an_expression_is_no_magic():
    assert one("rest = (10\n% 3)").source == "10 % 3"


@pytest.mark.parametrize(
    "magic",
    [
        "%config Application.log_format = '%(message)s'",
        "!pip install \\\n    numpy \\\n    torch",
        "!echo it's (",
        "if colab:\n    !pip install numpy\n    %cd /content",
        "  %time\n%%capture",
        "files = !ls\nhere = %pwd",
    ],
)
def test_magics_of_every_shape_are_passed_over(magic):
    assert [(p.name, p.help) for p in parse(f"a = 1\n{magic}\nb = 2  # two")] == [
        ("a", ""), ("b", "two"),
    ]  # fmt: skip


def test_other_line_ends_than_pythons_stay_in_their_strings():
    found = parse("a = 'x\u2028y'\r\n# help\r\nb = 1")
    assert [(p.default, p.help) for p in found] == [("x\u2028y", ""), (1, "help")]


def test_a_type_comment_is_an_annotation():
    parameter = one("n = None  # type: int how many")
    assert (parameter.annotation, parameter.help) == ("int", "how many")


@pytest.mark.parametrize(
    ("comment", "annotation", "help_"),
    [
        ("Dict[str, int] help text", "Dict[str, int]", "help text"),
        ("Dict[str, Tuple[int, ...]]", "Dict[str, Tuple[int, ...]]", ""),
        ("int | None how many", "int | None", "how many"),
        ("Optional[ int ] how many", "Optional[ int ]", "how many"),
        ("'np.ndarray' the sizes", "'np.ndarray'", "the sizes"),
        ("typing.Literal['a b', 'c'] which", "typing.Literal['a b', 'c']", "which"),
        ("int or more", "int", "or more"),
        ("int (whole)", "int", "(whole)"),
        ("[1, 2] are sizes", "", "[1, 2] are sizes"),
        ("ignore", "", ""),
        ("ignore[assignment] how many", "", "how many"),
    ],
)
def test_a_type_comment_ends_where_the_type_ends(comment, annotation, help_):
    parameter = one(f"n = None  # type: {comment}")
    assert (parameter.annotation, parameter.help) == (annotation, help_)


def test_an_annotation_wins_over_a_type_comment():
    assert one("n: float = 1  # type: int").annotation == "float"


@pytest.mark.parametrize("source", ["Path.home()", "1 + x", "f'{x}'", "[x]", "2 * 3"])
def test_a_default_that_must_be_run_is_computed(source):
    parameter = one(f"a = {source}")
    assert parameter.default is COMPUTED
    assert parameter.source == source


def test_a_negative_default_is_a_literal():
    assert one("a = -1").default == -1


@pytest.mark.parametrize("source", ["a = ", "a = (1", "if x:\na = 1", "a = 'x"])
def test_broken_python_is_refused(source):
    with pytest.raises(RequestError, match="not valid Python"):
        parse(source)


@pytest.mark.parametrize(
    "source",
    ["a = 1\0", f"a = {'[' * 5000}", f"a = {'-' * 100_000}1", f"a = {'1+' * 50_000}1"],
    ids=["NUL", "brackets", "signs", "sum"],
)
def test_python_too_odd_to_read_is_refused(source):
    with pytest.raises(RequestError, match="its parameters cell is"):
        parse(source)


@pytest.mark.parametrize(
    ("declared", "value", "fitted"),
    [
        ("a: int = 1", 3, 3),
        ("a: int = 1", "3", 3),
        ("a: float = 1", 3, 3.0),
        ("a: float = 1", "3e-4", 3e-4),
        ("a: str = ''", "3", "3"),
        ("a: bool = True", False, False),
        ("a = 1", 3, 3),
        ("a = 0.5", 3, 3.0),
        ("a = None", [1], [1]),
        ("a = f()", "x", "x"),
        ("a: 'int' = 1", "3", 3),
        ("a: Literal['x', 'y'] = 'x'", "y", "y"),
        ("a: Literal[1, 2] = 1", 2, 2),
        ("a: Literal['x', None] = 'x'", None, None),
        ("a: typing.Literal[-1, 1] = 1", -1, -1),
        ("a: Optional[int] = None", None, None),
        ("a: Optional[int] = None", 3, 3),
        ("a: Optional[float] = None", 3, 3.0),
        ("a: int | None = None", None, None),
        ("a: float | None = None", "1e3", 1000.0),
        ("a: int | str = 1", "3", "3"),
        ("a: Union[int, str] = 1", 3, 3),
        ("a: float | int = 1", 3, 3),
        ("a: list = []", [1, "x"], [1, "x"]),
        ("a: list[int] = []", [1, 2], [1, 2]),
        ("a: list[int] = []", [], []),
        ("a: list[float] = []", [1, "2"], [1.0, 2.0]),
        ("a: list[list[int]] = []", [[1], []], [[1], []]),
        ("a: tuple[int, ...] = ()", [1, 2, 3], [1, 2, 3]),
        ("a: tuple[int, str] = (1, '')", [1, "x"], [1, "x"]),
        ("a: set[str] = set()", ["x"], ["x"]),
        ("a: tuple[()] = ()", [], []),
        ("a: tuple[int] = (1,)", [1], [1]),
        ("a: tuple[int, int] = (1, 2)", (3, 4), [3, 4]),
        ("a: Tuple[float, ...] = ()", (1, 2), [1.0, 2.0]),
        ("a: typing.Tuple = ()", (1, "x"), [1, "x"]),
        ("a: list[tuple[int, str]] = []", [(1, "x")], [[1, "x"]]),
        ("a: set[int] = set()", {2, 1}, [1, 2]),
        ("a: frozenset[str] = frozenset()", frozenset("a"), ["a"]),
        ("a: Optional[set[int]] = None", {1}, [1]),
        ("a: tuple[int, int] | None = None", [1, 2], [1, 2]),
        ("a = (1, 2)", [3], [3]),
        ("a = (1, 2)", (3, 4, 5), [3, 4, 5]),
        ("a = {1, 2}", [3], [3]),
        ("a = {1, 2}", {3}, [3]),
        ("a = set()", [], []),
        ("a = None", (1, (2, {3})), [1, [2, [3]]]),
        ("a: NDArray[int] = f()", [0.5], [0.5]),
        ("a: Literal[Colour.RED] = Colour.RED", "x", "x"),
        ("a: Annotated[()] = f()", "x", "x"),
        ("a: dict = {}", {"x": 1}, {"x": 1}),
        ("a: dict[str, float] = {}", {"x": 1}, {"x": 1.0}),
        ("a: Annotated[int, 'help'] = 1", "3", 3),
        ("a: Final[int] = 1", 3, 3),
        ("a: Any = 1", "x", "x"),
        ("a: torch.device = f()", "cuda", "cuda"),
        ("a: datetime = f()", "2024-01-01", "2024-01-01"),
    ],
)
def test_a_value_that_fits(declared, value, fitted):
    got = one(declared).fit(value)
    assert got == fitted
    assert type(got) is type(fitted)


@pytest.mark.parametrize(
    ("declared", "value"),
    [
        ("a: int = 1", 3.0),
        ("a: int = 1", "3.5"),
        ("a: int = 1", "three"),
        ("a: int = 1", True),
        ("a: int = 1", None),
        ("a: float = 1", True),
        ("a: float = 1", "fast"),
        ("a: float = 1", [1.0]),
        ("a: str = ''", 3),
        ("a: bool = True", 1),
        ("a: bool = True", "True"),
        ("a = 1", 0.5),
        ("a = True", 1),
        ("a: Literal['x', 'y'] = 'x'", "z"),
        ("a: Literal[1] = 1", True),
        ("a: Literal[1] = 1", "1"),
        ("a: Optional[int] = None", "x"),
        ("a: int | None = None", 0.5),
        ("a: list[int] = []", ["x"]),
        ("a: list[int] = []", [True]),
        ("a: list[int] = []", 1),
        ("a: list[int] = []", "12"),
        ("a: tuple[int, ...] = ()", [1, "x"]),
        ("a: tuple[int, str] = (1, '')", [1]),
        ("a: tuple[int, str] = (1, '')", [1, "x", 2]),
        ("a: tuple[()] = ()", [1]),
        ("a: tuple[int] = (1,)", [1, 2]),
        ("a: tuple[int, int] = (1, 2)", ["x", 1]),
        ("a: set[int] = set()", {"x"}),
        ("a: set[int] = set()", 1),
        ("a = (1, 2)", 3),
        ("a = (1, 2)", "3"),
        ("a = {1, 2}", {"x": 1}),
        ("a: float = 1", 10**400),
        ("a: list[float] = []", [10**400]),
        ("a: float | None = None", 10**400),
        ("a: int = 1", "9" * 5000),
        ("a: 'list[' = 1", 1),
        ("a: 'x\\0' = 1", 1),
        ("a: dict[int, str] = {}", {"1": "x"}),
        ("a: dict = {}", [1]),
        ("a: dict[str, int] = {}", {"x": "y"}),
    ],
)
def test_a_value_that_does_not_fit(declared, value):
    with pytest.raises(RequestError, match="^a: .* does not fit"):
        one(declared).fit(value)


def test_a_misfit_is_told_with_the_help():
    with pytest.raises(RequestError) as caught:
        one("lr: float = 1e-3  # learning rate").fit("fast")
    assert str(caught.value) == "lr: 'fast' does not fit float (learning rate)"


def test_a_misfit_without_annotation_is_told_with_the_default():
    with pytest.raises(RequestError, match="does not fit int; its default is 32"):
        one("n = 32").fit("many")


ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.just(10**400) | st.floats()
    | st.text() | st.just("\ud800") | st.binary() | st.dates() | st.complex_numbers()
    | st.just(...) | st.builds(object) | st.just(int),
    lambda v: st.lists(v) | st.tuples(v, v) | st.dictionaries(st.text() | st.integers(), v),
)  # fmt: skip
TYPES = [
    "int", "float", "str", "bool", "list", "dict", "tuple", "set", "None", "Any", "tuple[()]",
    "tuple[int]", "tuple[int, ...]", "list[int]", "dict[str, int]", "dict[int, int]", "set[str]",
    "Literal[1]", "Literal[x]", "Optional[int]", "Optional[()]", "Union[int, str]", "int | None",
    "int | list[float]", "Annotated[int, 1]", "np.ndarray", "Foo[int]", "'int'", "'in t'",
    "list[int, int]", "tuple[...]", "x[y:z]", "f()", "int + 1",
]  # fmt: skip


@settings(suppress_health_check=[HealthCheck.too_slow])  # deep values, on a machine at work
@given(ODD, st.sampled_from(TYPES))
def test_whatever_is_given_fits_or_is_refused_in_one_line(value, type_):
    try:
        fitted = one(f"a: {type_} = f()").fit(value)
    except RequestError as error:
        assert str(error).startswith("a: ")
        assert "\n" not in str(error)
        assert len(str(error)) < 300
    else:
        assert json.dumps(fitted).encode()


@given(st.integers(min_value=-(2**53), max_value=2**53))
def test_every_whole_number_fits_a_float_and_stays_the_same_number(number):
    fitted = one("a: float = 0").fit(number)
    assert isinstance(fitted, float)
    assert fitted == number


@given(st.floats(allow_nan=False))
def test_text_of_a_float_is_read_and_fits_as_that_float(number):
    parameter = one("a: float = 0")
    assert parameter.fit(parameter.read(repr(number))) == number


@given(st.text())
def test_text_stays_text_for_a_str(text):
    parameter = one("a: str = ''")
    assert parameter.fit(parameter.read(text)) == text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("-3", -3),
        ("3.10", 3.1),
        ("3e-4", 3e-4),
        ("True", True),
        ("False", False),
        ("None", None),
        ("fast", "fast"),
        ("", ""),
        ("[1]", "[1]"),
    ],
)
def test_a_scalar_is_typed_as_papermill_does(text, value):
    got = scalar(text)
    assert got == value
    assert type(got) is type(value)


def test_nan_is_read_as_a_float():
    assert math.isnan(scalar("nan"))


def test_read_types_a_value_of_unknown_type():
    assert one("a = f()").read("3") == 3


@pytest.mark.parametrize("source", ["a: str = ''", "a = 'x'"])
def test_read_leaves_text_for_a_str(source):
    assert one(source).read("3.10") == "3.10"


@pytest.mark.parametrize(
    ("declared", "text", "value"),
    [
        ("a: list[int] = []", "[1, 2]", [1, 2]),
        ("a = [1]", "[1, 2]", [1, 2]),
        ("a: tuple[int, ...] = ()", "[1, 2]", [1, 2]),
        ("a: dict = {}", "{'x': 1}", {"x": 1}),
        ("a: tuple[int, int] = (1, 2)", "(3, 4)", (3, 4)),
        ("a = (1, 2)", "(3, 4)", (3, 4)),
        ("a = (1, 2)", "[3, 4]", [3, 4]),
        ("a = {1, 2}", "{3}", {3}),
        ("a: set[str] = set()", "{'x'}", {"x"}),
        ("a: Optional[list[int]] = None", "[1]", [1]),
        ("a: list[int] | None = None", "[1]", [1]),
        ("a: 'list[int]' = []", "[1]", [1]),
        ("a: list[int] = []", "{[1]: 2}", "{[1]: 2}"),
        ("a: list[int] = []", "[" * 5000, "[" * 5000),
        ("a: list[int] = []", "[1, 2", "[1, 2"),
        ("a: list[str] = []", "[x]", "[x]"),
    ],
)
def test_read_takes_a_literal_for_a_container(declared, text, value):
    assert one(declared).read(text) == value


PARAMETERS = parse(
    "lr = 1e-3  # learning rate\nbatch_size = 32\nepochs = 3\nseed = 0  # for numpy and torch"
)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("learningrate", "lr"),
        ("learning_rate", "lr"),
        ("LR", "lr"),
        ("batchsize", "batch_size"),
        ("bs", "batch_size"),
        ("epoch", "epochs"),
        ("numpy", "seed"),
    ],
)
def test_near_finds_what_was_meant(name, meant):
    assert near(name, PARAMETERS)[0] == meant


@pytest.mark.parametrize("name", ["xyz", "", "_"])
def test_near_finds_nothing_for_what_is_like_nothing(name):
    assert near(name, PARAMETERS) == []


def test_near_names_three_at_most():
    assert len(near("rate", parse("rate1 = 1\nrate2 = 1\nrate3 = 1\nrate4 = 1"))) == 3
