
// Number of rows that are added to the list of samples at a time.
const LISTED = 100;

/** The scripts beside the page call this with their content. */
function fineprunerSamples(kind, number, run, content) {
  const waiting = fineprunerSamples.waiting.get(kind + "-" + number);
  if (waiting) waiting(run, content);
}
fineprunerSamples.waiting = new Map();

/** Samples, their kept tokens and their pictures: in the page, or in files beside it
 * that are loaded on demand. */
function sampleStore(choices) {
  const inPage = document.getElementById("explorer-samples");
  const all = inPage && JSON.parse(inPage.textContent);
  const loaded = new Map();

  // As a script, since a page opened from a disk may load nothing else.
  const load = (kind, number) => {
    const name = kind + "-" + number;
    if (loaded.has(name)) return loaded.get(name);
    const file = choices.folder + "/" + name + ".js";
    const promise = new Promise((resolve, reject) => {
      const script = make("script", undefined, undefined, { src: file });
      const fail = (reason) => { loaded.delete(name); script.remove(); reject(new Error(reason)); };
      fineprunerSamples.waiting.set(name, (run, content) => {
        if (run === choices.run) resolve(content);
        else fail("The file " + file + " beside this page is of another report. Keep the page and its folder " + choices.folder + " together, as one report wrote them.");
      });
      script.onerror = () => fail("The samples are not here: this page needs the folder " + choices.folder + " beside it, and " + file + " can't be read. Move the page together with that folder, or run finepruner report again.");
      document.head.append(script);
    });
    loaded.set(name, promise);
    return promise;
  };

  return {
    index: async () => all || load("index", 0),
    seen: async (position) => all ? all.seen[position]
      : (await load("seen", Math.floor(position / choices.per_file)))[position % choices.per_file],
    picture: async (number) => {
      const there = document.getElementById("picture-" + number);
      if (there) return there.getAttribute("href");
      if (all) return undefined;
      const pictures = await load("pictures", Math.floor(number / choices.pictures_per_file));
      return "data:image/jpeg;base64," + pictures[number % choices.pictures_per_file];
    },
  };
}

/** Whether a sample passes a filter, given the runs of A, of B and without pruning. */
const OUTCOMES = [
  ["", "all", () => true],
  ["differ", "A and B answer differently", (a, b) => a && b && a.text !== b.text],
  ["a-better", "A right, B wrong", (a, b) => a && b && a.right && !b.right],
  ["b-better", "B right, A wrong", (a, b) => a && b && b.right && !a.right],
  ["a-lost", "A lost against no pruning", (a, b, bare) => a && bare && bare.right && !a.right],
  ["b-lost", "B lost against no pruning", (a, b, bare) => b && bare && bare.right && !b.right],
  ["a-won", "A won against no pruning", (a, b, bare) => a && bare && !bare.right && a.right],
  ["b-won", "B won against no pruning", (a, b, bare) => b && bare && !bare.right && b.right],
  ["a-right", "A right", (a) => a && a.right],
  ["a-wrong", "A wrong", (a) => a && !a.right],
];

/** Pickers of one side: strategy, h and budget; only existing cells can be selected. */
function cellPicker(choices, side, changed) {
  const at = (name) => document.getElementById(side + "-" + name);
  const selects = [["m", at("method"), choices.methods], ["h", at("heads"), choices.heads], ["b", at("budget"), choices.budgets]];
  for (const [, select, names] of selects) names.forEach((name, index) => select.append(new Option(name, index)));
  let cell = 0;
  const show = () => {
    const current = choices.cells[cell];
    for (const [key, select] of selects) {
      const isThere = current[key] !== null;
      select.disabled = !isThere;
      select.value = isThere ? String(current[key]) : "";
      if (key === "m") continue;
      const there = new Set(choices.cells.filter((other) => other.m === current.m).map((other) => other[key]));
      for (const option of select.options) option.disabled = isThere && !there.has(Number(option.value));
    }
  };
  // The cell of the method that is most similar to the request.
  const pick = (wanted, last) => {
    const likeness = (other) => (other.h === wanted.h ? 2 : 0) + (other.b === wanted.b ? 2 : 0) + (other[last] === wanted[last] ? 1 : 0);
    const fitting = choices.cells.map((other, index) => [other, index]).filter(([other]) => other.m === wanted.m);
    fitting.sort(([a], [b]) => likeness(b) - likeness(a));
    cell = fitting[0][1];
    show();
  };
  // Where a method has no h or budget, the last choice is kept.
  const chosen = { h: null, b: null };
  for (const [key, select] of selects) select.addEventListener("change", () => {
    const current = choices.cells[cell];
    if (current.h !== null) chosen.h = current.h;
    if (current.b !== null) chosen.b = current.b;
    const wanted = { m: current.m, h: current.h ?? chosen.h, b: current.b ?? chosen.b, [key]: Number(select.value) };
    if (key !== "m") chosen[key] = wanted[key];
    pick(wanted, key);
    changed();
  });
  return {
    get cell() { return cell; },
    set cell(index) {
      cell = index;
      chosen.h = choices.cells[cell].h ?? chosen.h;
      chosen.b = choices.cells[cell].b ?? chosen.b;
      show();
    },
  };
}

function explore() {
  const at = (id) => document.getElementById(id);
  const choices = JSON.parse(at("explorer-choices").textContent);
  const store = sampleStore(choices);
  const outcome = at("outcome"), family = at("family"), words = at("words");
  const list = at("list"), more = at("more"), found = at("found");
  const pickers = { a: cellPicker(choices, "a", changed), b: cellPicker(choices, "b", changed) };
  // The list, indices of the matching samples, the shown one, and a counter of requests.
  let data, matching = [], current = 0, turn = 0;

  for (const [value, name] of OUTCOMES) {
    if (choices.vanilla !== null || !/lost|won/.test(value)) outcome.append(new Option(name, value));
  }
  family.append(new Option("all", ""));
  for (const name of choices.families) family.append(new Option(name, name));
  restore();

  // The choice is in the URL fragment, after the section's name.
  function restore() {
    const [id, query] = location.hash.slice(1).split(/\?(.*)/s);
    const given = new URLSearchParams(id === "explorer" ? query || "" : "");
    const cell = (key, otherwise) => {
      const index = choices.cells.findIndex((other) => other.id === given.get(key));
      return index < 0 ? otherwise : index;
    };
    pickers.a.cell = cell("a", choices.first);
    pickers.b.cell = cell("b", choices.second);
    const among = (select, value) => [...select.options].some((option) => option.value === value) ? value : "";
    outcome.value = among(outcome, given.get("show") || "");
    family.value = among(family, given.get("family") || "");
    words.value = given.get("find") || "";
    return given.has("sample") ? Number(given.get("sample")) : undefined;
  }

  function keep() {
    const query = new URLSearchParams({ a: choices.cells[pickers.a.cell].id, b: choices.cells[pickers.b.cell].id });
    if (outcome.value) query.set("show", outcome.value);
    if (family.value) query.set("family", family.value);
    if (words.value.trim()) query.set("find", words.value.trim());
    if (matching.length > 0) query.set("sample", data.list[matching[current]].x);
    try { history.replaceState(null, "", "#explorer?" + query); } catch { /* A page in a page may have no history. */ }
  }

  function runOf(sample, cell) {
    const run = cell === null ? undefined : sample.r[sample.c[cell] - 1];
    return run && { number: sample.c[cell] - 1, text: data.texts[run[0]], score: run[1], kept: run[2], right: run[1] >= 0.5 };
  }
  const runsOf = (sample) => [pickers.a.cell, pickers.b.cell, choices.vanilla].map((cell) => runOf(sample, cell));

  /** Finds the matching samples, and keeps the shown sample if it matches. */
  function filter(wanted) {
    const fits = OUTCOMES.find(([value]) => value === outcome.value)[2];
    const kind = choices.families.indexOf(family.value);
    const text = words.value.trim().toLowerCase();
    const has = (sample) => [sample.i, sample.q, ...sample.a].some((part) => part.toLowerCase().includes(text));
    const stay = wanted ?? (matching.length > 0 ? data.list[matching[current]].x : undefined);
    matching = [];
    data.list.forEach((sample, position) => {
      if ((kind < 0 || sample.f === kind) && (text === "" || has(sample)) && fits(...runsOf(sample))) matching.push(position);
    });
    current = Math.max(0, matching.findIndex((position) => data.list[position].x === stay));
    list.replaceChildren();
    fill(current + 1);
    show();
  }

  /** Extends the list to this number of rows, in steps. */
  function fill(rows) {
    while (list.children.length < matching.length && (list.children.length < rows || list.children.length === 0)) {
      const from = list.children.length;
      list.append(...matching.slice(from, from + LISTED).map((position, index) => row(data.list[position], from + index)));
    }
    more.hidden = list.children.length >= matching.length;
  }

  function row(sample, index) {
    const button = make("button", undefined, undefined, { type: "button" });
    const marks = make("span", undefined, "marks");
    for (const [name, run] of [["no pruning", runOf(sample, choices.vanilla)], ["A", runOf(sample, pickers.a.cell)], ["B", runOf(sample, pickers.b.cell)]]) {
      marks.append(make("span", run ? (run.right ? "✓" : "✗") : "–", run ? (run.right ? "right" : "wrong") : "", { title: name }));
    }
    button.append(marks, make("span", sample.q, "question"), make("span", sample.i, "id"));
    button.addEventListener("click", () => { current = index; show(); keep(); });
    const item = make("li");
    item.append(button);
    return item;
  }

  function show() {
    const isEmpty = matching.length === 0;
    found.textContent = isEmpty ? "No sample is like that" : (current + 1) + " of " + matching.length
      + (matching.length < data.list.length ? " (of " + data.list.length + ")" : "");
    at("previous").disabled = isEmpty || current === 0;
    at("next").disabled = isEmpty || current + 1 >= matching.length;
    list.querySelector("[aria-current]")?.removeAttribute("aria-current");
    turn++;
    if (isEmpty) return at("sample").replaceChildren();
    fill(current + 1);
    const button = list.children[current].firstChild;
    button.setAttribute("aria-current", "true");
    const box = list.parentElement;
    const [top, bottom] = [button.offsetTop, button.offsetTop + button.offsetHeight];
    if (top < box.scrollTop || bottom > box.scrollTop + box.clientHeight) box.scrollTop = top - box.clientHeight / 3;
    draw(matching[current], turn);
  }

  async function draw(position, mine) {
    const sample = data.list[position];
    try {
      const seen = await store.seen(position);
      const picture = sample.p === undefined ? undefined : await store.picture(sample.p);
      // Another sample was requested meanwhile.
      if (mine === turn) at("sample").replaceChildren(...card(sample, seen, picture));
    } catch (error) {
      missing(error);
    }
  }

  function* card(sample, seen, picture) {
    yield make("p", choices.families[sample.f] + " · " + sample.i, "kind");
    yield make("h3", sample.q);
    const right = make("p", "Right answer: ");
    right.append(make("b", sample.a.join(" / ")));
    yield right;
    const maps = make("div", undefined, "maps");
    for (const [side, cell] of [["no pruning", choices.vanilla], ["A", pickers.a.cell], ["B", pickers.b.cell]]) {
      if (cell === null) continue;
      const run = runOf(sample, cell), figure = make("figure", undefined, "side " + (side.length === 1 ? side.toLowerCase() : "bare"));
      const caption = make("figcaption"), head = make("p", undefined, "who");
      head.append(make("b", side));
      // A long name may only break between its parts.
      if (side.length === 1) head.append(" " + choices.cells[cell].id.replace(/[+/]/g, "$&\u200b"));
      caption.append(head);
      if (run) {
        caption.append(make("p", (run.right ? "✓ right: " : "✗ wrong: ") + (run.text || "(empty)"), run.right ? "right" : "wrong"));
        const score = run.score === 0 || run.score === 1 ? "" : ", score " + run.score;
        const same = side === "B" && run.number === runOf(sample, pickers.a.cell)?.number ? ", the same as A" : "";
        caption.append(make("p", run.kept + " of " + sample.n + " tokens" + same + score, "small"));
        figure.append(...views(sample, seen[run.number], run.kept, picture, choices.cells[cell].id));
      } else {
        caption.append(make("p", "Not answered: this cell doesn't apply to the sample, or failed on it.", "small"));
      }
      figure.append(caption);
      maps.append(figure);
    }
    yield maps;
  }

  function svg(tag, attributes) {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    return element;
  }

  /** The grids of a sample's tokens: its own, or the common square. */
  function gridsOf(sample) {
    const side = choices.side;
    if (sample.g) return sample.g;
    return side > 0 ? [{ c: side, r: side, n: false, f: 0, p: [0, 0, side, side], b: sample.b || [] }] : [];
  }

  /** The picture of each grid with dropped patches darkened and boxes framed. */
  function views(sample, seen, kept, picture, name) {
    const grids = gridsOf(sample), bytes = seen === "-" || seen === "*" ? "" : atob(seen);
    const isKept = (token) => seen === "*" || bytes.charCodeAt(token >> 3) >> (token & 7) & 1;
    return grids.map((grid, index) => {
      const which = grids.length > 1 ? ", grid " + (index + 1) + " of " + grids.length : "";
      const drawn = svg("svg", { class: "view", viewBox: "0 0 " + grid.c + " " + grid.r, role: "img", "aria-label": name + ": " + kept + " of " + sample.n + " patches kept" + which });
      drawn.append(svg("rect", { class: "ground", width: grid.c, height: grid.r }));
      const [left, top, wide, tall] = grid.p;
      if (picture) drawn.append(svg("image", { href: picture, x: left, y: top, width: wide, height: tall, preserveAspectRatio: "none" }));
      let path = "";
      for (let row = 0; row < grid.r; row++) for (let column = 0; column < grid.c; column++) {
        if (!isKept(grid.f + row * (grid.c + (grid.n ? 1 : 0)) + column)) path += "M" + column + " " + row + "h1v1h-1z";
      }
      if (path) drawn.append(svg("path", { class: "dropped", d: path }));
      for (const [x, y, width, height] of grid.b) drawn.append(svg("rect", { class: "box", x, y, width, height }));
      return drawn;
    });
  }

  function missing(error) {
    at("missing").textContent = error.message;
    at("missing").hidden = false;
    at("browse").hidden = !data;
  }

  async function start() {
    if (data) return;
    try {
      data = await store.index();
    } catch (error) {
      return missing(error);
    }
    at("missing").hidden = true;
    at("browse").hidden = false;
    filter(restore());
  }

  function changed() {
    if (!data) return start();
    filter();
    keep();
  }

  function step(by) {
    const next = current + by;
    if (next < 0 || next >= matching.length) return;
    current = next;
    show();
    keep();
  }

  at("filters").addEventListener("submit", (event) => event.preventDefault());
  outcome.addEventListener("change", changed);
  family.addEventListener("change", changed);
  words.addEventListener("input", changed);
  at("previous").addEventListener("click", () => step(-1));
  at("next").addEventListener("click", () => step(1));
  more.addEventListener("click", () => {
    const from = list.children.length;
    fill(from + 1);
    list.children[from]?.firstChild.focus();
  });
  at("browse").addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.key === "ArrowLeft" || event.key === "ArrowRight") {
      step(event.key === "ArrowRight" ? 1 : -1);
      event.preventDefault();
    }
  });
  addEventListener("hashchange", () => {
    if (!location.hash.startsWith("#explorer?")) return;
    const wanted = restore();
    if (data) filter(wanted);
    at("explorer").scrollIntoView();
  });

  if (location.hash.startsWith("#explorer?")) {
    start().then(() => at("explorer").scrollIntoView());
  } else if (!choices.folder) {
    start();
  } else {
    // Separate files are loaded when the section is about to be visible.
    const near = new IntersectionObserver((entries) => {
      if (!entries.some((entry) => entry.isIntersecting)) return;
      near.disconnect();
      start();
    }, { rootMargin: "600px" });
    near.observe(at("explorer"));
  }
}
