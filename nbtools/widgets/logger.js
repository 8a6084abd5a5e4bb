// Logging by hand. Behind shared.js.

function render({ model, el }) {
  const { body, ask, say, end } = frame(model, el, "log by hand");
  const told = () => model.get("told");
  const run = make("span", { class: "nbl-time" });
  const step = make("input", { "aria-label": "step", placeholder: "step: the next", size: "9" });
  const name = make("input", { "aria-label": "name", placeholder: "name", size: "16" });
  const value = make("input", { "aria-label": "value", placeholder: "value", size: "30" });
  const turn = () => {
    step.hidden = kind.value !== "series";
    name.hidden = kind.value === "note";
    value.placeholder = { artifact: "path of a file", note: "text" }[kind.value] || "value";
  };
  const kind = choice(told().kinds, told().kinds[0], turn, { "aria-label": "kind" });
  const list = make("ul", { "aria-live": "polite" });
  const send = async (event) => {
    event.preventDefault();
    const reply = await ask("log", { kind: kind.value, name: name.value, value: value.value,
      step: step.value });
    if (reply) {
      say(`Logged into ${reply.run}.`);
      value.value = "";
      value.focus();
    }
  };
  body.append(make("header", {}, make("h3", {}, "Log by hand"), run),
    make("form", { class: "nbl-row", submit: send }, kind, name, value, step,
      make("button", { type: "submit" }, "Log")), list);
  const show = () => {
    run.textContent = told().run || "no run is open";
    list.replaceChildren(...told().logged.slice(-20).reverse().map(([what, key, logged]) =>
      make("li", {}, `${what} ${key} = ${shown(logged)}`)));
  };
  turn();
  model.on("change:told", show);
  show();
  return () => { model.off("change:told", show); end(); };
}

export default { render };
