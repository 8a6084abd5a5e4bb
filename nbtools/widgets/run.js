// A run as it grows. Behind shared.js and plot.js.

function render({ model, el }) {
  const { body, ask, say, end } = frame(model, el, "experiment run");
  const title = make("h3", {}), state = make("span", { class: "nbl-state" });
  const time = make("span", { class: "nbl-time" }), error = make("p", { class: "bad" });
  const marks = make("p", { class: "nbl-tags" }), ends = make("span", {});
  const params = make("div", {}), metrics = make("div", {});
  const charts = make("div", { class: "nbl-charts" }), plots = new Map();
  const tag = make("input", { placeholder: "tag", "aria-label": "new tag", size: "10" });
  const note = make("textarea", { rows: "2", "aria-label": "note", placeholder: "note" });
  const add = (event) => {
    event.preventDefault();
    if (tag.value.trim()) ask("tag", { tags: [tag.value.trim()] }).then((ok) => ok && (tag.value = ""));
  };
  const tagging = make("form", { submit: add }, tag, make("button", { type: "submit" }, "Add tag"));
  let kept = "";
  note.addEventListener("change", () => {
    const text = note.value;
    ask("note", { text }).then((ok) => ok && say("The note is kept."));
  });
  body.append(
    make("header", {}, title, state, time, ends), error,
    make("div", { class: "nbl-row" }, marks, tagging), note,
    make("details", { open: true }, make("summary", {}, "Params"), params),
    make("details", { open: true }, make("summary", {}, "Metrics"), metrics), charts);

  let heard = performance.now(), asked = "";
  function facts() {
    const told = model.get("told");
    heard = performance.now();
    title.textContent = `${told.experiment} / ${told.run}`;
    state.textContent = told.state;
    state.dataset.state = told.state;
    error.textContent = told.problem || told.error || "";
    redraw(params, told.params, () => [pairs(told.params)]);
    redraw(metrics, told.metrics, () => [pairs(told.metrics)]);
    redraw(marks, told.tags, () => told.tags.map((one) => make("span", { class: "nbl-tag" }, one,
      button("×", () => ask("untag", { tags: [one] }),
        { "aria-label": `remove tag ${one}`, "data-key": one }))));
    if (document.activeElement !== note && told.notes !== kept) note.value = kept = told.notes;
    if (told.ends.join() !== asked) {
      asked = told.ends.join();
      ends.replaceChildren(...(told.ends.length ? [ending(told.ends)] : []));
    }
    tick();
  }
  // Ending is for good: it takes two presses.
  function ending(states) {
    const as = choice(states, states[0], null, { "aria-label": "end as" });
    const press = button("End run", () => {
      if (press.dataset.sure) {
        press.disabled = true;
        ask("end", { state: as.value }).then(() => { press.disabled = false; calm(); });
      } else {
        press.dataset.sure = "yes";
        press.textContent = `End as ${as.value}?`;
      }
    });
    const calm = () => { delete press.dataset.sure; press.textContent = "End run"; };
    press.addEventListener("blur", calm);
    as.addEventListener("change", calm);
    return make("span", { class: "nbl-end" }, as, press);
  }
  function tick() {
    const told = model.get("told");
    const since = told.going ? (performance.now() - heard) / 1000 : 0;
    time.textContent = lasting(told.seconds + since);
  }
  const clock = setInterval(tick, 1000);

  function curves() {
    const told = model.get("told"), found = model.get("curves");
    for (const about of told.series || []) {
      const packed = found[about.key];
      if (!packed) continue;
      if (!plots.has(about.key)) {
        const made = plot(about.key, { zoom: () => curves() });
        made.colour = COLOURS[plots.size % COLOURS.length];
        plots.set(about.key, made);
        charts.append(made.element);
      }
      draw(plots.get(about.key), about, packed);
    }
  }
  async function draw(made, about, packed) {
    const whole = { steps: numbers(packed.steps), values: numbers(packed.values) };
    const range = made.range;
    made.fill([{ label: "", colour: made.colour, ...whole }], counted(about));
    if (!range || about.drawn === about.count) return;
    const found = await ask("zoom", { key: about.key, low: range[0], high: range[1] }, true);
    if (found && made.range === range) {  // else it was turned on meanwhile
      const [steps, values] = found.buffers.map(numbers);
      made.fill([{ label: "", colour: made.colour, steps, values }], counted(found));
    }
  }
  model.on("change:told", facts);
  model.on("change:told change:curves", curves);
  facts();
  curves();
  return () => {
    clearInterval(clock);
    for (const made of plots.values()) made.end();
    model.off("change:told", facts);
    model.off("change:told change:curves", curves);
    end();
  };
}

export default { render };
