// A form of a notebook's parameters. Behind shared.js.

function render({ model, el }) {
  const { body, ask, say, end } = frame(model, el, "parameters");
  const form = make("form", { submit: (event) => { event.preventDefault(); run(); } });
  const inputs = new Map(), touched = new Set();
  for (const one of model.get("told").fields) {
    const wrong = make("small", { class: "bad", role: "alert" });
    const attributes = { name: one.name, "aria-label": one.name };
    const input = one.kind === "flag"
      ? make("input", { type: "checkbox", checked: one.default === "True", ...attributes })
      : one.kind === "choice" ? choice(one.choices, one.default, null, attributes)
      : make("input", { value: one.default, ...attributes });
    input.addEventListener("change", () => { touched.add(one.name); check(); });
    const row = field(one.name, input, `${one.type}${one.help ? ` · ${one.help}` : ""}`);
    row.append(wrong);
    inputs.set(one.name, { input, wrong, kind: one.kind });
    form.append(row);
  }
  const text = (label, placeholder) =>
    make("input", { "aria-label": label, placeholder: placeholder || "" });
  const experiment = text("experiment"), name = text("run name");
  const schedule = text("schedule name", "nightly"), cron = text("cron expression", "0 2 * * *");
  const zone = text("time zone", "UTC");
  form.append(
    make("details", {}, make("summary", {}, "Experiment and run"),
      field("experiment", experiment), field("run", name)),
    make("p", {}, make("button", { type: "submit" }, "Run")),
    make("details", {}, make("summary", {}, "Schedule"), field("name", schedule),
      field("cron", cron), field("time zone", zone), button("Schedule", plan)));
  const jobs = make("div", { "aria-live": "polite" });
  body.append(make("h3", {}, model.get("told").notebook), form, jobs);

  const values = () => {  // what was changed: the rest is as the notebook says
    const found = {};
    for (const key of touched) {
      const { input, kind } = inputs.get(key);
      found[key] = kind === "flag" ? (input.checked ? "True" : "False") : input.value;
    }
    return found;
  };
  async function check() {
    const reply = await ask("check", { values: values() });
    if (!reply) return false;
    for (const [key, { input, wrong }] of inputs) {
      wrong.textContent = reply.wrong[key] || "";
      input.setAttribute("aria-invalid", String(key in reply.wrong));
    }
    const first = [...inputs].find(([key]) => key in reply.wrong);
    if (first) say(reply.wrong[first[0]], true);
    return !first;
  }
  async function run() {
    if (!await check()) return;
    const reply = await ask("run", { values: values(), experiment: experiment.value, run: name.value });
    if (reply) say(`Job ${reply.job} has begun.`);
  }
  async function plan() {
    if (!await check()) return;
    const reply = await ask("schedule", { values: values(), name: schedule.value,
      cron: cron.value, tz: zone.value });
    if (reply) {
      const hint = reply.served ? "" : " No service runs: `nbtools service run` executes it.";
      say(`Schedule ${reply.schedule} is due at ${reply.due.join(", ")}.${hint}`);
    }
  }
  const show = () => jobs.replaceChildren(...model.get("told").jobs.map(working));
  model.on("change:told", show);
  show();
  return () => { model.off("change:told", show); end(); };
}

export default { render };
