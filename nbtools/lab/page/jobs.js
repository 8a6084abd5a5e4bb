// The page of jobs. All that comes from a job is set as text, never as markup.
"use strict";

const PAUSE = 1000; // ms between two looks
const rows = new Map(); // job -> its row
const table = document.getElementById("jobs");
const message = document.getElementById("message");
const FINAL = new Set(["SUCCEEDED", "FAILED", "CANCELLED", "EXPIRED"]);

function cookie(name) {
  const found = document.cookie.split("; ").find((one) => one.startsWith(name + "="));
  return found ? found.slice(name.length + 1) : "";
}

async function ask(path, method) {
  const headers = method === "POST" ? { "X-XSRFToken": cookie("_xsrf") } : {};
  const reply = await fetch(path, { method, headers, credentials: "same-origin" });
  if (reply.ok) return reply.status === 204 ? null : reply.json();
  let said = reply.statusText;
  try { said = (await reply.json()).message || said; } catch { /* no JSON: the status will do */ }
  throw new Error(said);
}

function made(job) {
  const row = table.insertRow();
  for (const name of ["job", "notebook", "state", "cell", "time", "text", "act"]) {
    row.insertCell().className = name;
  }
  const bar = document.createElement("progress");
  row.cells[3].append(bar, document.createElement("span"));
  const button = document.createElement("button");
  button.textContent = "Cancel";
  button.setAttribute("aria-label", `Cancel ${job}`);
  button.addEventListener("click", async () => {
    button.disabled = true;
    try { await ask(`api/jobs/${encodeURIComponent(job)}/cancel`, "POST"); message.textContent = ""; }
    catch (error) { message.textContent = error.message; }
    look();
  });
  row.cells[6].append(button);
  return row;
}

function shown(seconds) {
  const whole = Math.round(seconds);
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor((whole % 3600) / 60)];
  return (hours ? `${hours} h ` : "") + (hours || minutes ? `${minutes} min ` : "") + `${whole % 60} s`;
}

function show(job) {
  if (!rows.has(job.job)) rows.set(job.job, made(job.job));
  const row = rows.get(job.job);
  const [name, notebook, state, cell, time, text, act] = row.cells;
  name.textContent = job.job;
  notebook.textContent = job.notebook.split("/").pop();
  notebook.title = job.notebook;
  state.textContent = job.state;
  state.className = `state ${job.state}`;
  const bar = cell.firstChild;
  bar.max = job.cells || 1;
  bar.value = job.cell;
  cell.lastChild.textContent = job.cells ? ` ${job.cell}/${job.cells}` : "";
  time.textContent = shown(job.seconds);
  text.textContent = job.error || job.text;
  act.firstChild.hidden = FINAL.has(job.state);
  table.append(row); // in the order of the reply
}

async function look() {
  try {
    const { jobs } = await ask("api/jobs", "GET");
    const there = new Set(jobs.map((job) => job.job));
    for (const [name, row] of rows) if (!there.has(name)) { row.remove(); rows.delete(name); }
    jobs.forEach(show);
    document.getElementById("none").hidden = jobs.length > 0;
    if (message.dataset.lost) { message.textContent = ""; delete message.dataset.lost; }
  } catch (error) {
    message.textContent = `The server does not answer: ${error.message}`;
    message.dataset.lost = "1";
  }
}

// In JupyterLab the page is as light or dark as JupyterLab is, else as the system is.
function themed() {
  const light = window.frameElement && window.parent.document.body.dataset.jpThemeLight;
  if (light) document.documentElement.style.colorScheme = light === "true" ? "light" : "dark";
}
themed();
if (window.frameElement) {  // null too where another site's page has us: it may not
  new MutationObserver(themed).observe(window.parent.document.body,
    { attributes: true, attributeFilter: ["data-jp-theme-light"] });
}

(async function follow() {
  for (;;) {
    if (!document.hidden) await look();
    await new Promise((done) => setTimeout(done, PAUSE));
  }
})();
