"use strict";
// Tables sort by the column whose head is pressed: up, down, as they were.
const UNKNOWN = new Set(["", "–", "unknown", "no data"]);
function key(cell) {
  if (!cell) return null;
  const data = cell.querySelector("data");
  if (data) return Number(data.value);
  const text = cell.textContent.trim();
  if (UNKNOWN.has(text)) return null;
  const number = /^[-−]?\d+(\.\d+)?(e[-+]?\d+)?(?=$|\s)/.exec(text);
  return number ? Number(number[0].replace("−", "-")) : text;
}
function compare(a, b) {
  if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
  return a < b ? -1 : a > b ? 1 : 0;
}
const NEXT = { none: "ascending", ascending: "descending", descending: "none" };
for (const table of document.querySelectorAll("table")) {
  const body = table.tBodies[0];
  if (!table.tHead || !body || body.rows.length < 2) continue;
  const rows = Array.from(body.rows);
  const heads = Array.from(table.tHead.rows[0].cells);
  heads.forEach((head, column) => {
    if (!head.textContent.trim()) return;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const order = NEXT[head.getAttribute("aria-sort") || "none"];
      for (const other of heads) other.removeAttribute("aria-sort");
      const sorted = rows.map((row) => ({ row, key: key(row.cells[column]) }));
      if (order !== "none") {
        head.setAttribute("aria-sort", order);
        const sign = order === "descending" ? -1 : 1;
        // what is not known comes last either way
        sorted.sort((a, b) =>
          a.key === null || b.key === null
            ? (a.key === null) - (b.key === null)
            : sign * compare(a.key, b.key));
      }
      for (const { row } of sorted) body.append(row);
    });
  });
}
// On paper nothing can be opened.
let closed = [];
addEventListener("beforeprint", () => {
  closed = Array.from(document.querySelectorAll("details:not([open])"));
  for (const part of closed) part.open = true;
});
addEventListener("afterprint", () => {
  for (const part of closed) part.open = false;
});
