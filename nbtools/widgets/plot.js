// Curves on a canvas: lines of {label, colour, steps, values}, NaN and infinity are gaps.
// A stretch of steps is chosen by dragging, or with + - and the arrow keys; Escape shows all.

function ticks(low, high, most) {
  const rough = (high - low) / most, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= rough * 0.999);
  const found = [];
  for (let i = Math.ceil(low / step); i * step <= high + step * 1e-9; i += 1) found.push(i * step);
  return found;
}

function plot(name, options) {
  const canvas = make("canvas", { tabindex: "0", role: "img", class: "nbl-canvas" });
  const read = make("output", { class: "nbl-read" });
  const head = make("figcaption", {}, make("b", {}, name), " ");
  const about = make("span", {}), log = make("input", { type: "checkbox", change: () => draw() });
  head.append(about, make("label", {}, log, "log"));
  const element = make("figure", { class: "nbl-plot", "data-series": name }, head, canvas, read);
  const LEFT = 58, RIGHT = 8, TOP = 8, BOTTOM = 20, HEIGHT = 180;
  let lines = [], range = null, at = null, drag = null, waiting = false, width = 0;
  const reach = () => {
    let low = Infinity, high = -Infinity;
    for (const { steps } of lines) {
      if (steps.length) { low = Math.min(low, steps[0]); high = Math.max(high, steps.at(-1)); }
    }
    return low <= high ? [low, high === low ? low + 1 : high] : [0, 1];
  };
  const level = (value) => (log.checked ? (value > 0 ? Math.log10(value) : NaN) : value);
  const text = (value) => shown(log.checked ? 10 ** value : value);
  let scale = { x: [0, 1], y: [0, 1] };
  const across = (step) => LEFT + (step - scale.x[0]) / (scale.x[1] - scale.x[0])
    * (width - LEFT - RIGHT);
  const step = (x) => scale.x[0] + (x - LEFT) / (width - LEFT - RIGHT) * (scale.x[1] - scale.x[0]);
  const up = (v) => HEIGHT - BOTTOM - (v - scale.y[0]) / (scale.y[1] - scale.y[0])
    * (HEIGHT - TOP - BOTTOM);

  function measure() {
    scale.x = range || reach();
    let low = Infinity, high = -Infinity;
    for (const { steps, values } of lines) {
      for (let i = 0; i < steps.length; i += 1) {
        const v = level(values[i]);
        if (steps[i] >= scale.x[0] && steps[i] <= scale.x[1] && Number.isFinite(v)) {
          if (v < low) low = v;
          if (v > high) high = v;
        }
      }
    }
    if (low > high) [low, high] = [0, 1];
    const room = (high - low) * 0.04 || Math.abs(high) * 0.05 || 0.5;
    scale.y = [low - room, high + room];
  }
  function now() {
    waiting = false;
    width = canvas.clientWidth;
    if (!width) return;
    const begin = performance.now(), dense = window.devicePixelRatio || 1;
    const look = getComputedStyle(canvas), ink = (n) => look.getPropertyValue(n).trim() || "#888";
    canvas.width = width * dense;
    canvas.height = HEIGHT * dense;
    const pen = canvas.getContext("2d");
    pen.scale(dense, dense);
    measure();
    pen.font = "11px sans-serif";
    pen.lineWidth = 1;
    pen.textAlign = "right";
    pen.textBaseline = "middle";
    for (const v of ticks(...scale.y, 4)) {
      pen.strokeStyle = ink("--nbl-line");
      pen.beginPath(); pen.moveTo(LEFT, up(v)); pen.lineTo(width - RIGHT, up(v)); pen.stroke();
      pen.fillStyle = ink("--nbl-dim");
      pen.fillText(text(v), LEFT - 5, up(v));
    }
    pen.textAlign = "center";
    for (const s of ticks(...scale.x, 6)) {
      if (Number.isInteger(s)) pen.fillText(String(s), across(s), HEIGHT - 8);
    }
    pen.save();
    pen.beginPath(); pen.rect(LEFT, 0, width - LEFT - RIGHT, HEIGHT - BOTTOM + 2); pen.clip();
    pen.lineJoin = "round";
    pen.lineWidth = 1.5;
    let points = 0;
    for (const { steps, values, colour } of lines) {
      pen.strokeStyle = pen.fillStyle = colour;
      pen.beginPath();
      let down = false;
      for (let i = 0; i < steps.length; i += 1) {
        const v = level(values[i]);
        if (!Number.isFinite(v)) { down = false; continue; }
        const x = across(steps[i]), y = up(v);
        if (down) pen.lineTo(x, y);
        else {
          pen.moveTo(x, y);
          if (i + 1 === steps.length || !Number.isFinite(level(values[i + 1]))) {
            pen.fillRect(x - 1.5, y - 1.5, 3, 3);  // alone between two gaps
          }
        }
        down = true;
        points += 1;
      }
      pen.stroke();
    }
    pen.restore();
    if (at !== null) mark(pen, ink);
    if (drag) {
      pen.fillStyle = "#8886";
      pen.fillRect(Math.min(drag[0], drag[1]), TOP, Math.abs(drag[1] - drag[0]), HEIGHT - TOP - BOTTOM);
    }
    canvas.dataset.points = points;
    canvas.dataset.draws = Number(canvas.dataset.draws || 0) + 1;
    canvas.dataset.took = (performance.now() - begin).toFixed(2);
    canvas.setAttribute("aria-label",
      `${name}, steps ${shown(scale.x[0])} to ${shown(scale.x[1])}, ${lines.length} curves`);
  }
  function mark(pen, ink) {
    const x = across(at), said = [];
    pen.strokeStyle = ink("--nbl-dim");
    pen.beginPath(); pen.moveTo(x, TOP); pen.lineTo(x, HEIGHT - BOTTOM); pen.stroke();
    for (const { label, steps, values } of lines) {
      const i = nearest(steps, at);
      if (i >= 0) said.push(`${label ? `${label} ` : ""}${shown(values[i])} at ${steps[i]}`);
    }
    read.textContent = said.slice(0, 8).join(" · ");
  }
  function nearest(steps, wanted) {
    let low = 0, high = steps.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (steps[middle] < wanted) low = middle + 1; else high = middle;
    }
    return low > 0 && wanted - steps[low - 1] < steps[low] - wanted ? low - 1 : low < steps.length ? low : -1;
  }
  function draw() {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(now);
  }
  function turn(wanted) {  // to other steps; who knows more of them is asked for it
    range = wanted;
    options.zoom(wanted);
    draw();
  }
  const place = (event) => event.clientX - canvas.getBoundingClientRect().left;
  canvas.addEventListener("pointerdown", (event) => {
    drag = [place(event), place(event)];
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    at = step(place(event));
    if (drag) drag[1] = place(event);
    draw();
  });
  canvas.addEventListener("pointerup", () => {
    const [from, to] = drag || [0, 0];
    drag = null;
    if (Math.abs(to - from) > 6) turn([step(Math.min(from, to)), step(Math.max(from, to))]);
    else draw();
  });
  canvas.addEventListener("pointercancel", () => { drag = null; draw(); });
  canvas.addEventListener("dblclick", () => turn(null));
  canvas.addEventListener("keydown", (event) => {
    const [low, high] = range || reach(), apart = high - low, middle = at === null ? (low + high) / 2 : at;
    if (event.key === "Escape") turn(null);
    else if (event.key === "+") turn([middle - apart / 4, middle + apart / 4]);
    else if (event.key === "-") turn([middle - apart, middle + apart]);
    else if (event.key === "ArrowLeft") { at = Math.max(low, middle - apart / 50); draw(); }
    else if (event.key === "ArrowRight") { at = Math.min(high, middle + apart / 50); draw(); }
    else return;
    event.preventDefault();
  });
  const sized = new ResizeObserver(draw), themed = new MutationObserver(draw);
  sized.observe(canvas);
  themed.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-light", "class"] });
  return {
    element,
    get range() { return range; },
    fill(given, told) {
      lines = given;
      about.textContent = told;
      draw();
    },
    end() { sized.disconnect(); themed.disconnect(); },
  };
}

function counted(about) {  // how much of a series the picture is
  const drawn = about.drawn < about.count ? `, ${about.drawn} drawn: each stretch keeps its lowest `
    + "and its highest" : "";
  const gaps = about.gaps ? `, ${about.gaps} NaN or infinite: gaps` : "";
  return `${about.count} points${drawn}${gaps}`;
}
