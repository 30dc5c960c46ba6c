
// Number of rows from which a table can be filtered.
const FILTERED_ROWS = 8;

/** The value of a cell: the exact one if there is one. */
function cellContent(cell) {
  const text = cell ? cell.textContent.trim() : "";
  if (cell && cell.dataset.v !== undefined) return { text, number: Number(cell.dataset.v), isExact: true };
  const found = text.replace(/\u2212/g, "-").match(/-?\d+(\.\d+)?/);
  const isMissing = text === "" || text === "\u2013" || text === "\u00b7";
  return { text: isMissing ? "" : text, number: found && !isMissing ? Number(found[0]) : NaN, isExact: false };
}

/** One field of a CSV file (RFC 4180). Text that a spreadsheet would evaluate as a formula
 * is prefixed with a quotation mark, unless it is a number. */
function csvField(text, isNumber) {
  let field = text;
  if (!isNumber && /^[=+\-@\t\r]/.test(field)) field = "'" + field;
  return /[",\r\n]/.test(field) ? '"' + field.replace(/"/g, '""') + '"' : field;
}

function csvOf(head, rows) {
  const value = (cell) => {
    const content = cellContent(cell);
    if (content.isExact) return csvField(String(content.number), true);
    const plain = content.text.replace(/\u2212/g, "-").replace(/^\+(?=[\d.]+$)/, "");
    return /^-?\d+(\.\d+)?$/.test(plain) ? csvField(plain, true) : csvField(content.text, false);
  };
  const lines = [head.map((label) => csvField(label, false)).join(",")];
  for (const row of rows) lines.push(head.map((_, column) => value(row.cells[column])).join(","));
  return lines.join("\r\n") + "\r\n";
}

/** Offers a text as a download. */
function download(name, text) {
  const link = make("a", undefined, undefined, { download: name });
  link.href = URL.createObjectURL(new Blob([text], { type: "text/csv;charset=utf-8" }));
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

/** Makes one table sortable, filterable and downloadable. */
function workTable(box) {
  const table = box.querySelector("table"), body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  const labels = heads.map((head) => head.textContent.trim());
  const original = [...body.rows];
  if (original.length === 0) return;
  const name = table.caption.textContent.trim();
  let order = original, words = [];
  const shown = () => order.filter((row) => !row.hidden);

  const compare = (column, isNumeric, direction) => {
    const keys = new Map(original.map((row) => [row, cellContent(row.cells[column])]));
    const isMissing = (key) => isNumeric ? Number.isNaN(key.number) : key.text === "";
    return (a, b) => {
      const [x, y] = [keys.get(a), keys.get(b)];
      // Missing values come last in either order.
      if (isMissing(x) || isMissing(y)) return Number(isMissing(x)) - Number(isMissing(y));
      const way = isNumeric ? x.number - y.number : x.text.localeCompare(y.text, "en", { numeric: true });
      return direction * way;
    };
  };

  if (original.length > 1) heads.forEach((head, column) => {
    const isNumeric = head.classList.contains("n");
    const button = make("button", labels[column], "sort", { type: "button" });
    head.replaceChildren(button);
    head.setAttribute("aria-sort", "none");
    // Numbers from the largest, text from A; then reversed; then the original order.
    const ways = isNumeric ? ["descending", "ascending", "none"] : ["ascending", "descending", "none"];
    button.addEventListener("click", () => {
      const way = ways[(ways.indexOf(head.getAttribute("aria-sort")) + 1) % 3];
      for (const other of heads) other.setAttribute("aria-sort", "none");
      head.setAttribute("aria-sort", way);
      order = way === "none" ? original : [...original].sort(compare(column, isNumeric, way === "ascending" ? 1 : -1));
      body.append(...order);
    });
  });

  const tools = make("div", undefined, "tools");
  const count = make("span", "", "count", { role: "status" });
  if (original.length >= FILTERED_ROWS) {
    const input = make("input", undefined, undefined, { type: "search", placeholder: "Filter rows", "aria-label": "Filter rows: " + name, size: "14", spellcheck: "false" });
    // Every word must match; "h = 4" is one word.
    const plain = (text) => text.toLowerCase().replace(/\s*=\s*/g, "=");
    input.addEventListener("input", () => {
      words = plain(input.value).split(/\s+/).filter(Boolean);
      for (const row of original) {
        const text = plain([...row.cells].map((cell) => cell.textContent).join(" "));
        row.hidden = !words.every((word) => text.includes(word));
      }
      const found = shown().length;
      count.textContent = words.length === 0 ? "" : found + " of " + original.length + " rows";
    });
    tools.append(input, count);
  }
  const csv = make("button", "CSV", "csv", { type: "button", title: "Download the rows as shown, figures in full", "aria-label": "Download as CSV: " + name });
  csv.addEventListener("click", () => {
    const file = "finepruner-" + name.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "").slice(0, 60) + ".csv";
    download(file, csvOf(labels, shown()));
  });
  tools.append(csv);
  box.prepend(tools);
}
