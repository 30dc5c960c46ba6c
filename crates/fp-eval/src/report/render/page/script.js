"use strict";
(function () {
  // Choices: one group of several is shown.
  for (const select of document.querySelectorAll("select[data-choose]")) {
    const show = () => {
      for (const group of document.querySelectorAll(".group")) {
        if (group.dataset.group === select.dataset.choose) group.hidden = group.dataset.value !== select.value;
      }
    };
    select.addEventListener("change", show);
    show();
  }

  const source = document.getElementById("data");
  if (source) explore(JSON.parse(source.textContent));
  document.documentElement.dataset.ready = "yes";

  function explore(data) {
    const at = (id) => document.getElementById(id);
    const list = at("samples"), more = at("more"), found = at("found");
    const controls = ["family", "first", "second", "outcome", "words"].map(at);
    const SVG = "http://www.w3.org/2000/svg";
    const STEP = 12;
    let matching = [], shown = 0;

    const start = at("data").dataset;
    const studied = data.cells.findIndex((cell) => cell.includes("/h"));
    at("first").value = start.first || String(Math.max(studied, 0));
    at("second").value = start.second || String(data.vanilla === null ? 0 : data.vanilla);

    const runOf = (sample, cell) => {
      const code = sample.c.codePointAt(cell);
      const number = code === undefined ? 0 : code < 0x100 ? code - 48 : code - 0x100;
      return number > 0 ? sample.r[number - 1] : undefined;
    };
    const isRight = (run) => run[1] >= 0.5;

    const fits = {
      "": () => true,
      right: (run) => isRight(run),
      wrong: (run) => !isRight(run),
      lost: (run, other, bare) => bare && isRight(bare) && !isRight(run),
      won: (run, other, bare) => bare && !isRight(bare) && isRight(run),
      better: (run, other) => other && isRight(run) && !isRight(other),
      worse: (run, other) => other && !isRight(run) && isRight(other),
    };

    function filter() {
      const [family, first, second, outcome, words] = controls.map((control) => control.value);
      const text = words.trim().toLowerCase();
      matching = data.samples.filter((sample) => {
        const run = runOf(sample, +first);
        const bare = data.vanilla === null ? undefined : runOf(sample, data.vanilla);
        return run && (family === "" || sample.f === +family) &&
          fits[outcome](run, runOf(sample, +second), bare) &&
          (text === "" || sample.q.toLowerCase().includes(text));
      });
      list.replaceChildren();
      shown = 0;
      show();
    }

    function show() {
      for (const sample of matching.slice(shown, shown + STEP)) list.append(card(sample));
      shown = Math.min(shown + STEP, matching.length);
      found.textContent = matching.length === 0
        ? "No sample is like that."
        : shown + " of " + matching.length + " samples shown";
      more.hidden = shown >= matching.length;
    }

    function make(tag, text, name) {
      const element = document.createElement(tag);
      if (text !== undefined) element.textContent = text;
      if (name) element.className = name;
      return element;
    }

    // A long name may break after its parts, and only there.
    const breakable = (name) => name.replace(/[+/]/g, "$&\u200b");

    function card(sample) {
      const article = make("article", undefined, "sample");
      article.append(make("p", data.families[sample.f] + " · " + sample.i, "kind"), make("h3", sample.q));
      article.append(make("p", "Right answer: " + sample.a.join(" / ")));
      const maps = make("div", undefined, "maps");
      const cells = [...new Set([+at("first").value, +at("second").value])];
      for (const cell of cells) {
        const run = runOf(sample, cell);
        if (!run) continue;
        const figure = make("figure"), caption = make("figcaption", breakable(data.cells[cell]));
        const right = isRight(run);
        const text = data.texts[run[0]] || "(empty)";
        caption.append(make("br"), make("span", (right ? "✓ right: " : "✗ wrong: ") + text, right ? "right" : "wrong"));
        if (data.side > 0) figure.append(view(sample, run, data.cells[cell]));
        figure.append(caption);
        maps.append(figure);
      }
      article.append(maps);
      return article;
    }

    function draw(tag, attributes) {
      const element = document.createElementNS(SVG, tag);
      for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
      return element;
    }

    function view(sample, run, name) {
      const side = data.side;
      const svg = draw("svg", { class: "view", viewBox: "0 0 " + side + " " + side, role: "img" });
      svg.append(draw("rect", { class: "ground", width: side, height: side }));
      if (sample.p !== undefined) svg.append(draw("use", { href: "#picture-" + sample.p }));
      let kept = side * side;
      if (run[2] !== "*") {
        const bytes = run[2] === "-" ? "" : atob(run[2]);
        let path = "";
        for (let token = 0; token < side * side; token++) {
          if (bytes.charCodeAt(token >> 3) >> (token & 7) & 1) continue;
          path += "M" + (token % side) + " " + Math.floor(token / side) + "h1v1h-1z";
          kept--;
        }
        svg.append(draw("path", { class: "dropped", d: path }));
      }
      for (const [x, y, width, height] of sample.b || []) svg.append(draw("rect", { class: "box", x, y, width, height }));
      svg.setAttribute("aria-label", name + ": " + kept + " of " + side * side + " patches");
      return svg;
    }

    at("filters").addEventListener("submit", (event) => event.preventDefault());
    for (const control of controls) control.addEventListener("input", filter);
    more.addEventListener("click", () => {
      const before = list.children.length;
      show();
      const next = list.children[before];
      if (next) { next.tabIndex = -1; next.focus(); }
    });
    filter();
  }
})();
