import pytest

from nbtools.cli.show import LONGEST, table, text, value, values


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("plain ö ✓", "plain ö ✓"),
        ("two\nlines\r", "two\\nlines\\r"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("\udcff", "\\udcff"),
    ],
)
def test_what_a_notebook_said_stays_on_its_line(said, shown):
    assert text(said) == shown
    assert value(said) == shown
    assert values({said: said}) == f"{shown}={shown}"


def test_a_long_value_is_cut():
    assert len(value("x" * 1000)) == LONGEST
    assert value([1, "a"]) == "[1, 'a']"


def test_a_table_keeps_its_columns(capsys):
    table(("A", "B"), [("x\ny", 1), ("z", 22)], "empty")
    assert capsys.readouterr().out == "A     B\nx\\ny  1\nz     22\n"
