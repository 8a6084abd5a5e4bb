// Jobs and schedules as they change. Behind shared.js.

const ENDED = new Set(["SUCCEEDED", "FAILED", "CANCELLED", "EXPIRED"]);

function render({ model, el }) {
  const { body, ask, say, end } = frame(model, el, "jobs and schedules");
  const list = make("div", { class: "nbl-jobs" }), plans = make("div", {});
  const detail = make("div", {}), head = make("h4", {}), log = make("pre", { tabindex: "0" });
  const acts = make("div", { class: "nbl-row" }), outputs = make("div", {});
  log.hidden = true;
  detail.append(head, acts, log, outputs);
  const earlier = button("Show earlier jobs", () => ask("earlier", {}));
  body.append(make("h3", {}, "Jobs"), list, earlier, detail, plans);
  let open = "", seen = "", problem = "";

  function row(job) {
    const line = working(job), key = (what) => ({ "data-act": what, "data-key": `${what} ${job.job}` });
    line.classList.toggle("on", job.job === open);
    line.append(button(job.job === open ? "Close" : "Details", () => select(job.job),
      { "aria-expanded": String(job.job === open), ...key("open") }));
    line.append(ENDED.has(job.state)
      ? button("Retry", () => act("retry", job, "is executed again"), key("retry"))
      : button("Cancel", () => act("cancel", job, "is asked to stop"), key("cancel")));
    return line;
  }
  async function act(question, job, words) {
    if (await ask(question, { job: job.job })) say(`Job ${job.job} ${words}.`);
  }
  function select(name) {
    open = open === name ? "" : name;
    seen = "";
    outputs.replaceChildren();
    show();
  }
  function show() {
    const { jobs, more, schedules, served, problem: wrong } = model.get("told");
    if ((wrong || "") !== problem) say(problem = wrong || "", true);
    redraw(list, [jobs, open], () => (jobs.length ? jobs.map(row)
      : [make("p", {}, "No job is at work, and none has ended lately.")]));
    earlier.hidden = !more;
    redraw(plans, [schedules, served], () => (!schedules.length ? [] : [make("h4", {}, "Schedules"),
      ...(served ? [] : [make("p", { class: "bad" },
        "No service runs: `nbtools service run` executes them.")]), ...schedules.map(plan)]));
    follow(jobs.find((one) => one.job === open));
  }
  function plan(one) {
    const turn = one.state === "ACTIVE" ? ["Pause", "pause"] : ["Resume", "resume"];
    const press = (text, question, words) => button(text, async () => {
      if (await ask(question, { schedule: one.schedule })) say(`Schedule ${one.schedule} ${words}.`);
    }, { "data-key": `${question} ${one.schedule}` });
    return make("p", { class: "nbl-row", "data-schedule": one.schedule },
      make("span", { class: "nbl-state" }, one.state), make("code", {}, one.schedule), one.cron,
      make("small", {}, one.reason || (one.next ? `next ${one.next}` : "")),
      one.state === "COMPLETED" ? null : press(...turn, `is ${turn[1]}d`),
      press("Run now", "run_now", "is due now"));
  }
  async function follow(job) {
    detail.hidden = !job;
    if (!job) return;
    const now = JSON.stringify([job.job, job.state, job.cell, job.text]);
    if (now === seen) return;
    seen = now;
    head.textContent = job.job;
    acts.replaceChildren(button("Outputs", () => files(job.job)), button("Report", () => report(job.job)));
    const reply = await ask("log", { job: job.job }, true);
    if (!reply || open !== job.job) return;
    const below = log.scrollHeight - log.scrollTop - log.clientHeight < 30;
    log.hidden = false;
    log.textContent = `${reply.cut ? "…\n" : ""}${reply.text}`;
    if (below) log.scrollTop = log.scrollHeight;
  }
  async function files(job) {
    const reply = await ask("outputs", { job });
    if (!reply) return;
    outputs.replaceChildren(pairs(reply.values), ...reply.files.map(([name, bytes]) =>
      make("p", {}, button(`Save ${name}`, () => save(job, name)), ` ${bytes} bytes`)));
  }
  async function save(job, name) {
    const reply = await ask("file", { job, name });
    if (!reply) return;
    const url = URL.createObjectURL(new Blob([reply.buffers[0]], { type: "application/octet-stream" }));
    const link = make("a", { href: url, download: name.split("/").pop() });
    link.click();
    setTimeout(() => URL.revokeObjectURL(url), 10000);
  }
  // The page of somebody's outputs: in a frame in which nothing runs and nothing is reached.
  async function report(job) {
    const reply = await ask("report", { job });
    if (!reply) return;
    const page = make("iframe", { sandbox: "", title: `report of ${job}`,
      style: "width:100%;height:480px;border:0;background:#fff" });
    page.srcdoc = new TextDecoder().decode(reply.buffers[0]);
    outputs.replaceChildren(page);
  }
  model.on("change:told", show);
  show();
  return () => { model.off("change:told", show); end(); };
}

export default { render };
