// The card of JupyterLab's launcher. Written by hand, for it is small: what a module
// federation container must have is `init`, which is handed what JupyterLab shares, and `get`.
"use strict";
(() => {
  let shared;

  // The one instance that JupyterLab itself uses: another has other tokens.
  const use = async (name) => {
    const versions = Object.values(shared[name] || {});
    const loaded = versions.find((version) => version.loaded) || versions[0];
    if (!loaded) throw new Error(`JupyterLab does not share ${name}`);
    return (await loaded.get())();
  };

  const COMMAND = "nbtools:jobs";
  const BRIEFCASE =
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24"><path class="jp-icon3" ' +
    'fill="#616161" d="M4 5h16v2H4zm0 6h10v2H4zm0 6h7v2H4zm12-4 6 4-6 4z"/></svg>';

  const extension = async () => {
    const [{ ILauncher }, { ICommandPalette }, { PageConfig, URLExt }, { LabIcon }, { Widget }] =
      await Promise.all([
        "@jupyterlab/launcher", "@jupyterlab/apputils", "@jupyterlab/coreutils",
        "@jupyterlab/ui-components", "@lumino/widgets",
      ].map(use));
    const icon = new LabIcon({ name: "nbtools:jobs", svgstr: BRIEFCASE });

    const open = (app) => {
      const node = document.createElement("iframe");
      node.src = URLExt.join(PageConfig.getBaseUrl(), "nbtools/jobs");
      node.title = "Jobs of nbtools";
      node.style.border = "0";
      const widget = new Widget({ node });
      widget.id = "nbtools-jobs";
      widget.title.label = "Jobs";
      widget.title.icon = icon;
      widget.title.closable = true;
      app.shell.add(widget, "main");
      return widget;
    };

    const activate = (app, launcher, palette) => {
      let widget;
      app.commands.addCommand(COMMAND, {
        label: "nbtools Jobs",
        caption: "Jobs of nbtools as they run",
        icon,
        execute: () => {
          if (!widget || widget.isDisposed) widget = open(app);
          app.shell.activateById(widget.id);
          widget.node.focus(); // what has the focus is what JupyterLab's menus speak of
        },
      });
      if (launcher) launcher.add({ command: COMMAND, category: "Other", rank: 0 });
      if (palette) palette.addItem({ command: COMMAND, category: "nbtools" });
    };

    const plugin = {
      id: "nbtools-lab:jobs",
      description: "Opens nbtools' page of jobs",
      autoStart: true,
      optional: [ILauncher, ICommandPalette],
      activate,
    };
    return () => ({ __esModule: true, default: plugin });
  };

  window._JUPYTERLAB = window._JUPYTERLAB || {};
  window._JUPYTERLAB["nbtools-lab"] = {
    init: (scope) => { shared = scope; },
    get: (name) =>
      name === "./extension" ? extension() : Promise.reject(new Error(`no module ${name}`)),
  };
})();
