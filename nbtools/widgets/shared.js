// What all views use; each view's own file is put behind this one, and the two are one module.
// Text of others becomes text nodes and attribute values, never markup: there is no innerHTML.

const SVG = "http://www.w3.org/2000/svg";
const COLOURS = ["#4477aa", "#ee6677", "#228833", "#ccaa22", "#66bbdd", "#aa3377", "#ee7733",
                 "#999999"];

function make(name, attributes, ...inner) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (typeof value === "function") element.addEventListener(key, value);
    else if (value === true) element.setAttribute(key, "");
    else if (value !== false && value !== null && value !== undefined) {
      element.setAttribute(key, value);
    }
  }
  element.append(...inner.filter((one) => one !== null && one !== undefined));
  return element;
}

// A view's frame: what went wrong is said in it, and its questions are asked through it.
function frame(model, el, name) {
  const status = make("p", { class: "nbl-status", role: "status", "aria-live": "polite" });
  const body = make("div", { class: "nbl-body" });
  const root = keep(
    make("section", { class: "nbl nbl-live", "aria-label": name }, body, status));
  el.append(root);
  const waiting = new Map();
  const own = Math.random().toString(36).slice(2, 10);
  let last = 0;
  const say = (text, bad) => {
    status.textContent = text || "";
    status.classList.toggle("bad", Boolean(bad));
  };
  const heard = (message, buffers) => {
    const done = waiting.get(message && message.re);
    if (!done) return;
    waiting.delete(message.re);
    done(message, buffers || []);
  };
  model.on("msg:custom", heard);
  // Resolves to the answer and its buffers, or to null where the answer is an error, which is said.
  // What nobody has pressed a button for is asked quietly: it leaves what was said last.
  const ask = (question, given, quiet) => new Promise((resolve) => {
    const id = `${own}-${++last}`;
    waiting.set(id, (message, buffers) => {
      if (message.error || !quiet) say(message.error, true);
      resolve(message.error ? null : { ...message, buffers });
    });
    model.send({ id, ask: question, with: given || {} });
  });
  const here = () => model.send({ here: true });  // who looks only for a page waits for this
  const beat = setInterval(here, 20000);
  here();
  return { root, body, say, ask,
    end: () => { clearInterval(beat); model.off("msg:custom", heard); } };
}

// Draws what is in a place anew if what it says has changed, else its focus and selection stay;
// and also then the focus stays on the button of the same `data-key`.
function redraw(place, said, draw) {
  const now = JSON.stringify(said);
  if (place.said === now) return;
  place.said = now;
  const active = place.contains(document.activeElement) && document.activeElement.dataset.key;
  place.replaceChildren(...draw());
  const same = active && [...place.querySelectorAll("[data-key]")]
    .find((one) => one.dataset.key === active);
  if (same) same.focus();
}

// JupyterLab takes keys for itself that are pressed in an output.
function keep(element) {
  for (const kind of ["keydown", "keyup", "keypress"]) {
    element.addEventListener(kind, (event) => event.stopPropagation());
  }
  element.setAttribute("data-lm-suppress-shortcuts", "true");
  return element;
}

function button(text, act, attributes) {
  return make("button", { type: "button", click: act, ...(attributes || {}) }, text);
}

function field(label, input, help) {
  return make("label", { class: "nbl-field" }, make("span", {}, label), input,
              help ? make("small", {}, help) : null);
}

function choice(values, chosen, act, attributes) {
  const select = make("select", { change: () => act && act(select.value), ...(attributes || {}) });
  for (const value of values) select.append(make("option", { value }, value));
  if (values.includes(chosen)) select.value = chosen;
  return select;
}

function shown(value) {
  if (value === null || value === undefined) return "";
  if (typeof value !== "number" || Number.isInteger(value)) {
    return typeof value === "object" ? JSON.stringify(value) : String(value);
  }
  return String(Number(value.toPrecision(5)));
}

function lasting(seconds) {
  const whole = Math.floor(seconds), two = (n) => String(n).padStart(2, "0");
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes}:${two(whole % 60)} min`;
  return `${Math.floor(minutes / 60)}:${two(minutes % 60)} h`;
}

function pairs(values) {
  const list = make("dl", {});
  for (const [key, value] of Object.entries(values)) {
    list.append(make("div", {}, make("dt", {}, key), make("dd", {}, shown(value))));
  }
  return list;
}

function numbers(view) {  // of a buffer: it may lie anywhere in another one
  const buffer = view instanceof ArrayBuffer ? view : view.buffer;
  const begin = view.byteOffset || 0;
  return new Float64Array(buffer.slice(begin, begin + view.byteLength));
}

// A drawing that Python has made, element by element: only what draws, nothing that runs.
const DRAWS = new Set(["svg", "g", "path", "line", "rect", "circle", "text", "title", "defs",
                       "marker"]);
const SAYS = /^(d|x|y|x1|x2|y1|y2|r|cx|cy|rx|width|height|viewBox|class|fill|stroke|stroke-width|text-anchor|role|aria-label|data-run|data-node|id|refX|refY|markerWidth|markerHeight|orient|marker-end|textLength|lengthAdjust|tabindex)$/;

function drawing(text) {
  const copy = (from) => {
    const to = document.createElementNS(SVG, from.localName);
    for (const { name, value } of from.attributes) {
      if (SAYS.test(name) && !/url\((?!#)/.test(value)) to.setAttribute(name, value);
    }
    for (const child of from.childNodes) {
      if (child.nodeType === Node.TEXT_NODE) to.append(child.data);
      else if (child.nodeType === Node.ELEMENT_NODE && DRAWS.has(child.localName)) {
        to.append(copy(child));
      }
    }
    return to;
  };
  const found = new DOMParser().parseFromString(text, "image/svg+xml").documentElement;
  if (found.localName !== "svg") return make("p", {}, "This cannot be drawn.");
  const drawn = copy(found), room = drawn.viewBox.baseVal;
  if (room && !drawn.hasAttribute("width")) drawn.style.maxWidth = `${room.width * 1.15}px`;
  return drawn;
}

// A table whose columns sort by click or Enter, and whose rows are chosen by click or space.
function grid(columns, options) {
  const state = { rows: [], sort: -1, down: false, most: 200, chosen: new Set() };
  const head = make("tr", {}), body = make("tbody", {}), more = make("p", {});
  const element = make("div", { class: "nbl-wide" },
    make("table", {}, make("thead", {}, head), body), more);
  const rank = (v) => (v === null || v === undefined || v === "" ? 2 : typeof v === "number" ? 0 : 1);
  const sorted = () => {
    if (state.sort < 0) return state.rows;
    const sign = state.down ? -1 : 1, at = state.sort;
    return [...state.rows].sort((a, b) => {
      const x = a.cells[at], y = b.cells[at], apart = rank(x) - rank(y);
      if (apart || rank(x) === 2) return apart;
      return sign * (rank(x) === 0 ? x - y : String(x).localeCompare(String(y)));
    });
  };
  const choose = (row, on) => {
    if (on) state.chosen.add(row.id); else state.chosen.delete(row.id);
    options.choose([...state.chosen]);
    draw();
  };
  function line(row) {
    const on = state.chosen.has(row.id);
    const tick = make("input", { type: "checkbox", "aria-label": `choose ${shown(row.cells[0])}`,
      checked: on, change: (event) => choose(row, event.target.checked) });
    const first = make("td", {}, tick);
    if (row.colour) first.append(make("i", { style: `background:${row.colour}` }));
    return make("tr", { class: on ? "on" : null, "data-row": row.id }, options.choose ? first : null,
      ...row.cells.map((value) => value instanceof Node ? make("td", {}, value)
        : make("td", { title: typeof value === "string" ? value : null }, shown(value))));
  }
  function draw() {
    const active = document.activeElement && element.contains(document.activeElement)
      && document.activeElement.closest("[data-row]");
    const kept = active && active.getAttribute("data-row");
    head.replaceChildren(...(options.choose ? [make("th", {})] : []),
      ...columns.map((name, i) => {
        const turn = () => {
          state.down = state.sort === i && !state.down;
          state.sort = i;
          draw();
          head.querySelectorAll("button")[i].focus();
        };
        const by = state.sort === i ? (state.down ? "descending" : "ascending") : null;
        const sign = by ? (state.down ? " ↓" : " ↑") : "";
        return make("th", { "aria-sort": by }, button(name + sign, turn));
      }));
    const all = sorted();
    body.replaceChildren(...all.slice(0, state.most).map(line));
    more.replaceChildren();
    if (all.length > state.most) {
      more.append(button(`Show all ${all.length}`, () => { state.most = Infinity; draw(); }));
    }
    if (kept) {
      const again = [...body.children].find((row) => row.getAttribute("data-row") === kept);
      const input = again && again.querySelector("input, button");
      if (input) input.focus();
    }
  }
  return {
    element, state,
    fill(rows, names) {
      columns = names || columns;
      state.rows = rows;
      draw();
    },
  };
}

// One line about a job: its state, how far it is, and what it said last.
function working(job) {
  return make("p", { class: "nbl-row", "data-job": job.job },
    make("span", { class: "nbl-state", "data-state": job.state }, job.state),
    make("code", {}, job.job),
    make("progress", { value: job.cell, max: job.cells || 1, "aria-label": "cells" }),
    `cell ${job.cell} of ${job.cells} · ${lasting(job.seconds)}`,
    make("small", {}, job.error || job.text));
}
