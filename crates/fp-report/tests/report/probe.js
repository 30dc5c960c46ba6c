// Inspects the page from inside, uses it as a reader would, and stores the findings.
(() => {
  const at = (id) => document.getElementById(id);
  const isShown = (element) => element.getClientRects().length > 0;
  const send = (element, type) => element.dispatchEvent(new Event(type, { bubbles: true }));
  const press = (element, key) => element.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
  const wait = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

  function layout(found) {
    for (const svg of document.querySelectorAll("svg.chart")) {
      if (!isShown(svg)) continue;
      const name = svg.getAttribute("aria-label");
      if (svg.querySelectorAll("circle, path, rect:not(.band)").length === 0) found.empty.push(name);
      const boxes = [...svg.querySelectorAll("text")].map((text) => [text.textContent, text.getBoundingClientRect()]);
      const frame = svg.getBoundingClientRect();
      for (const [i, [text, a]] of boxes.entries()) {
        if (a.height < 10) found.small.push(name + ": " + text + " " + a.height);
        if (a.left < frame.left - 1 || a.right > frame.right + 1 || a.bottom > frame.bottom + 1) found.wide.push(name + ": " + text);
        for (const [other, b] of boxes.slice(i + 1)) {
          const x = Math.min(a.right, b.right) - Math.max(a.left, b.left);
          const y = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
          if (x > 1 && y > 4) found.overlaps.push(name + ": " + text + " / " + other);
        }
      }
    }
    for (const section of document.querySelectorAll("main > section, main > header")) {
      const box = section.getBoundingClientRect();
      if (box.height < 60) found.empty.push(section.id);
      for (const element of section.querySelectorAll("h1, h2, h3, p, li, select, button:not(.sort), input, figure, article, pre")) {
        if (element.closest(".scroll, .results, pre")) continue;
        const inner = element.getBoundingClientRect();
        if (inner.width > 0 && inner.right > innerWidth + 1) found.wide.push(section.id + ": " + element.textContent.slice(0, 40));
      }
      const link = document.querySelector('#links a[href="#' + section.id + '"]');
      if (!link) found.unlinked.push(section.id);
    }
    for (const link of document.querySelectorAll('a[href^="#"]')) {
      if (!document.getElementById(link.hash.slice(1))) found.dangling.push(link.hash);
    }
    const ids = [...document.querySelectorAll("[id]")].map((element) => element.id);
    found.doubled = ids.filter((id, index) => ids.indexOf(id) !== index);
  }

  // Contrast of every text with its background, as defined by WCAG.
  function contrast(found) {
    const context = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
    const known = new Map();
    const rgba = (color) => {
      if (!known.has(color)) {
        context.clearRect(0, 0, 1, 1);
        context.fillStyle = color;
        context.fillRect(0, 0, 1, 1);
        known.set(color, [...context.getImageData(0, 0, 1, 1).data]);
      }
      return known.get(color);
    };
    const light = ([r, g, b]) => {
      const [x, y, z] = [r, g, b].map((v) => v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4);
      return 0.2126 * x + 0.7152 * y + 0.0722 * z;
    };
    const ground = (element) => {
      for (let e = element; e; e = e.parentElement) {
        const color = rgba(getComputedStyle(e).backgroundColor);
        if (color[3] === 255) return color;
      }
      return [255, 255, 255];
    };
    for (const element of document.querySelectorAll("main *, nav *")) {
      const hasText = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
      if (!hasText || !isShown(element) || element.closest("svg.view, option, script, .inside, :disabled, .anchor") || element.classList.contains("ear")) continue;
      const style = getComputedStyle(element);
      const ink = rgba(element.closest("svg") ? style.fill : style.color);
      const [a, b] = [light(ink), light(ground(element))];
      const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
      if (ratio < 4.5) found.faint.push(element.tagName + "." + element.getAttribute("class") + " " + ratio.toFixed(2) + ": " + element.textContent.slice(0, 30));
    }
  }

  function choosers(found) {
    for (const select of document.querySelectorAll("select[data-choose]")) {
      for (const option of [...select.options].reverse()) {
        select.value = option.value;
        send(select, "change");
        const groups = [...document.querySelectorAll(".group")].filter((group) => group.dataset.group === select.dataset.choose);
        const shown = groups.filter((group) => !group.hidden);
        if (shown.length !== 1 || shown[0].dataset.value !== option.value || shown[0].getBoundingClientRect().height < 20) found.hidden.push(select.dataset.choose + " " + option.value);
      }
    }
  }

  async function menu(found) {
    const button = at("menu"), links = at("links");
    found.menu = { button: isShown(button), links: isShown(links) };
    if (isShown(button)) {
      button.focus();
      button.click();
      found.menu.opened = isShown(links) && button.getAttribute("aria-expanded") === "true";
      press(button, "Escape");
      found.menu.closed = !isShown(links) && document.activeElement === button;
    }
    at("heat").scrollIntoView();
    await wait(200);
    found.menu.current = document.querySelector("#links [aria-current]")?.hash;
    found.menu.sticky = Math.round(at("nav").getBoundingClientRect().top);
    found.menu.covered = at("heat").getBoundingClientRect().top < (isShown(button) ? at("nav").getBoundingClientRect().bottom : 0);
  }

  async function table(found) {
    const box = [...document.querySelectorAll(".table")].find((box) => box.querySelector("caption").textContent === "All cells");
    const heads = [...box.querySelectorAll("thead th")], body = box.querySelector("tbody");
    const column = (name) => heads.findIndex((head) => head.textContent === name);
    const cells = (index) => [...body.rows].map((row) => row.cells[index]);
    const numbers = (index) => cells(index).map((cell) => cell.dataset.v === undefined ? null : Number(cell.dataset.v));
    const names = () => cells(0).map((cell) => cell.textContent);
    const sort = (name) => {
      const button = heads[column(name)].querySelector("button");
      button.focus();
      const hasFocus = document.activeElement === button;
      button.click();
      return hasFocus ? heads[column(name)].getAttribute("aria-sort") : "no focus";
    };
    const result = { before: names() };
    const difference = heads.find((head) => head.textContent.startsWith("minus ") && head.textContent !== "minus vanilla").textContent;
    result.ways = [sort(difference)];
    result.descending = numbers(column(difference));
    result.ways.push(sort(difference));
    result.ascending = numbers(column(difference));
    result.ways.push(sort(difference));
    result.after = names();
    result.ways.push(sort("cell"));
    result.words = names();
    result.sorted = heads.filter((head) => head.getAttribute("aria-sort") !== "none").map((head) => head.textContent);
    sort("cell");
    sort("cell");
    sort("mean");
    const filter = box.querySelector("input");
    filter.value = "H = 4 r42";
    send(filter, "input");
    result.count = box.querySelector(".count").textContent;
    let blob, name;
    const [create, click] = [URL.createObjectURL, HTMLAnchorElement.prototype.click];
    URL.createObjectURL = (given) => { blob = given; return "#"; };
    HTMLAnchorElement.prototype.click = function () { name = this.download; };
    box.querySelector(".csv").click();
    [URL.createObjectURL, HTMLAnchorElement.prototype.click] = [create, click];
    result.file = name;
    result.csv = await blob.text();
    result.fields = [csvField("=1+1", false), csvField("-2", true), csvField('a "b", c', false), csvField("@x", false), csvField("a\nb", false)];
    found.table = result;
  }

  async function explorer(found) {
    const choices = JSON.parse(at("explorer-choices").textContent);
    const shown = () => at("sample").querySelector(".kind")?.textContent;
    const set = (id, value, type) => { at(id).value = value; send(at(id), type || "change"); };
    const result = { first: choices.cells[choices.first].id, second: choices.cells[choices.second].id, count: {} };
    const total = () => at("found").textContent.startsWith("No") ? 0 : Number(at("found").textContent.split(" ")[2]);
    for (const option of at("outcome").options) {
      set("outcome", option.value);
      result.count[option.value] = total();
    }
    set("outcome", "");
    at("list").querySelector("button").click();
    await wait(20);
    result.figures = at("sample").querySelectorAll("figure").length;
    result.views = at("sample").querySelectorAll("path.dropped").length;
    result.pictures = [...at("sample").querySelectorAll("svg.view image")].filter((image) => image.getBoundingClientRect().width > 40).length;
    result.tokens = [...at("sample").querySelectorAll("figcaption .small")].map((text) => text.textContent);
    result.turns = [shown()];
    at("next").click();
    await wait(20);
    result.turns.push(shown());
    press(at("sample"), "ArrowRight");
    await wait(20);
    result.turns.push(shown());
    press(at("sample"), "ArrowLeft");
    at("previous").click();
    await wait(20);
    result.turns.push(shown());
    set("words", "square number 2", "input");
    result.found = total();
    set("words", "", "input");
    set("a-method", String(choices.methods.indexOf("vanilla")));
    result.vanilla = [at("a-heads").disabled, at("a-budget").disabled, new URLSearchParams(location.hash.split("?")[1]).get("a")];
    const method = choices.cells[choices.second].m;
    set("a-method", String(method));
    set("a-heads", "0");
    set("a-budget", "0");
    set("outcome", "differ");
    at("next").click();
    await wait(20);
    result.hash = location.hash;
    result.sample = shown();
    result.method = choices.methods[method];
    found.explorer = result;
  }

  async function look() {
    const found = { width: innerWidth, overlaps: [], empty: [], small: [], hidden: [], wide: [], faint: [], unlinked: [], dangling: [] };
    found.ready = document.documentElement.dataset.ready || "no";
    found.ground = getComputedStyle(document.body).backgroundColor;
    await wait(300);
    found.hash = location.hash;
    found.start = at("sample").querySelector(".kind")?.textContent;
    found.missing = at("missing").hidden ? "" : at("missing").textContent;
    found.picked = ["a-method", "a-heads", "a-budget", "b-method", "outcome", "words"].map((id) => at(id).selectedOptions ? at(id).selectedOptions[0]?.textContent : at(id).value);
    if (window.probeLooksOnly) return found;
    choosers(found);
    layout(found);
    contrast(found);
    await menu(found);
    await table(found);
    await explorer(found);
    found.scroll = document.documentElement.scrollWidth;
    found.unfocusable = [...document.querySelectorAll(".scroll, pre")].filter((element) => element.tabIndex !== 0).length;
    found.copies = [...document.querySelectorAll("button[data-copy]")].filter((button) => button.hidden).length;
    return found;
  }

  addEventListener("load", () => look()
    .catch((error) => ({ errors: [String(error.stack || error)] }))
    .then((found) => {
      found.errors = [...(found.errors || []), ...window.probeErrors];
      parent.postMessage(JSON.stringify(found), "*");
    }));
})();
