// Runs side by side. Behind shared.js and plot.js.

function render({ model, el }) {
  const { body, ask, say, end } = frame(model, el, "runs side by side");
  const told = () => model.get("told");
  const title = make("h3", {});
  const filter = make("input", { size: "46", "aria-label": "filter",
    placeholder: 'filter, as metadata._metrics.loss < 0.1' });
  const filtering = make("form", { class: "nbl-row", submit: async (event) => {
    event.preventDefault();
    const found = await ask("filter", { text: filter.value });
    filter.setAttribute("aria-invalid", String(!found));
    if (found) say(`${told().runs.length} runs`);
  } }, filter, make("button", { type: "submit" }, "Filter"));
  const table = grid([], { choose: (ids) => { ask("select", { runs: ids }, true); chosen(); } });
  const runs = () => [...table.state.chosen];
  const best = make("div", { class: "nbl-row" }), differ = make("div", {});
  const charts = make("div", { class: "nbl-charts" }), plots = new Map();
  const across = make("div", {}), spread = make("div", {});
  const pick = { metric: "", param: "", direction: "max" };
  const metric = make("span", {}), param = make("span", {});
  const direction = choice(["max", "min"], "max", (v) => { pick.direction = v; },
    { "aria-label": "direction" });
  const found = make("output", {});
  best.append("Metric ", metric, direction, button("Best run", showBest), found);
  const part = (name, ...inner) => make("details", { open: true }, make("summary", {}, name), ...inner);
  body.append(make("header", {}, title), filtering, table.element, best,
    part("Differences of the selected runs", differ), part("Curves", charts),
    part("Params against the metric", across),
    part("One param against the metric", make("p", {}, "Param ", param), spread));

  function fill() {
    const now = told();
    title.textContent = `${now.experiment || "All experiments"}: ${now.runs.length} runs`;
    if (document.activeElement !== filter) filter.value = now.filter;
    const there = new Set(now.runs.map((run) => run.id));
    for (const id of runs()) if (!there.has(id)) table.state.chosen.delete(id);
    table.fill(now.runs, now.columns);
    if (!now.metrics.includes(pick.metric)) pick.metric = now.metrics[0] || "";
    if (!now.params.includes(pick.param)) pick.param = now.params[0] || "";
    metric.replaceChildren(choice(now.metrics, pick.metric, (v) => { pick.metric = v; drawings(); },
      { "aria-label": "metric" }));
    param.replaceChildren(choice(now.params, pick.param, (v) => { pick.param = v; drawings(); },
      { "aria-label": "param" }));
    for (const [key, made] of plots) {
      if (!now.series.includes(key)) { made.end(); made.element.remove(); plots.delete(key); }
    }
    for (const key of now.series.slice(0, 12)) {
      if (!plots.has(key)) {
        const made = plot(key, { zoom: () => curve(key, made) });
        plots.set(key, made);
        charts.append(made.element);
      }
    }
    chosen();
    drawings();
  }
  function chosen() {  // curves are of the runs that are chosen, of all where none is
    for (const [key, made] of plots) curve(key, made);
    mark();
    differences();
  }
  function mark() {  // pictures are of all runs, with those that stand out that are chosen
    const all = told().runs;
    for (const place of [across, spread]) {
      place.classList.toggle("some", runs().length > 0);
      for (const one of place.querySelectorAll("[data-run]")) {
        const run = all[Number(one.getAttribute("data-run"))];
        one.classList.toggle("on", Boolean(run) && table.state.chosen.has(run.id));
      }
    }
  }
  async function curve(key, made) {
    const range = made.range || [-1e300, 1e300];
    const reply = await ask("curves", { key, runs: runs(), low: range[0], high: range[1] }, true);
    if (!reply || (made.range || [-1e300, 1e300]).join() !== range.join()) return;
    const colours = new Map(told().runs.map((run) => [run.id, run.colour]));
    const lines = reply.lines.map((about, i) => ({ label: about.label, colour: colours.get(about.id),
      steps: numbers(reply.buffers[2 * i]), values: numbers(reply.buffers[2 * i + 1]) }));
    const sum = (name) => reply.lines.reduce((all, line) => all + line[name], 0);
    const rest = reply.left_out ? `, ${reply.left_out} runs left out: choose some` : "";
    made.fill(lines, `${lines.length} runs, `
      + counted({ count: sum("count"), drawn: sum("drawn"), gaps: sum("gaps") }) + rest);
  }
  async function drawings() {
    if (!pick.metric) return;
    const [first, second] = await Promise.all([
      ask("parallel", { metric: pick.metric }, true),
      pick.param ? ask("scatter", { param: pick.param, metric: pick.metric }, true) : null,
    ]);
    if (first) put(across, first.svg, "These runs do not differ in any param.");
    if (second) put(spread, second.svg, "No run here has a finite number for this.");
  }
  function put(place, svg, none) {
    const drawn = svg ? drawing(svg) : make("p", {}, none);
    const all = told().runs;
    for (const one of drawn.querySelectorAll("[data-run]")) {
      const run = all[Number(one.getAttribute("data-run"))];
      if (!run) continue;
      one.addEventListener("click", () => {
        const row = [...table.element.querySelectorAll("[data-row]")]
          .find((line) => line.dataset.row === run.id);
        if (row) { row.scrollIntoView({ block: "nearest" }); row.querySelector("input").focus(); }
        say(`${shown(run.cells[0])}: ${one.textContent}`);
      });
    }
    place.replaceChildren(make("div", { class: "nbl-drawn" }, drawn));
    mark();
  }
  async function differences() {
    if (runs().length < 2) {
      differ.replaceChildren(make("p", {}, "Select two runs or more."));
      return;
    }
    const reply = await ask("differences", { runs: runs() }, true);
    if (!reply) return;
    const rows = reply.rows.map((row) => make("tr", {}, ...row.map((v, i) =>
      make(i ? "td" : "th", { title: typeof v === "string" ? v : null }, shown(v)))));
    const head = ["", ...reply.heads].map((name) => make("th", {}, name));
    differ.replaceChildren(make("div", { class: "nbl-wide" },
      make("table", {}, make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...rows))));
  }
  async function showBest() {
    const reply = await ask("best", { metric: pick.metric, direction: pick.direction });
    found.textContent = reply ? `${reply.name}: ${shown(reply.value)}` : "";
    const row = reply && [...table.element.querySelectorAll("[data-row]")]
      .find((line) => line.dataset.row === reply.run);
    if (row) row.scrollIntoView({ block: "nearest" });
  }
  model.on("change:told", fill);
  fill();
  return () => {
    for (const made of plots.values()) made.end();
    model.off("change:told", fill);
    end();
  };
}

export default { render };
