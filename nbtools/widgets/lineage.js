// What an artifact came from and what came of it. Behind shared.js.

function render({ model, el }) {
  const { body, ask, say, end } = frame(model, el, "lineage");
  const title = make("h3", {}), place = make("div", { class: "nbl-drawn nbl-graph" });
  const detail = make("div", { "aria-live": "polite" });
  body.append(title, place, detail);
  function show() {
    const told = model.get("told");
    title.textContent = `Lineage of ${told.start}`;
    if (!told.whole) say("There is more than can be shown: give a depth.");
    const drawn = drawing(told.svg);
    place.replaceChildren(drawn);
    detail.replaceChildren(make("p", {}, "Choose a node to read what is known of it."));
    for (const one of drawn.querySelectorAll("[data-node]")) {
      const node = told.nodes[Number(one.dataset.node)];
      one.setAttribute("tabindex", "0");
      one.setAttribute("role", "button");
      one.setAttribute("aria-label", `${node.kind} ${node.title}`);
      const open = () => {
        for (const other of drawn.querySelectorAll(".on")) other.classList.remove("on");
        one.classList.add("on");
        detail.replaceChildren(make("pre", {}, node.said),
          button("Look from here", async () => {
            const start = await ask("go", { name: node.name }) && place.querySelector(".start");
            if (start) start.focus();
          }));
      };
      one.addEventListener("click", open);
      one.addEventListener("keydown", (event) => {
        if (event.key === "Enter" || event.key === " ") { event.preventDefault(); open(); }
      });
    }
  }
  model.on("change:told", show);
  show();
  return () => { model.off("change:told", show); end(); };
}

export default { render };
