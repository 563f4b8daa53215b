// Sorting and finding classes, showing more of a summary, moving by keys. Pages read well without it.
"use strict";

function makeSortable(table) {
  const body = table.tBodies[0];
  const headers = [...table.tHead.rows[0].cells];
  headers.forEach((header, column) => {
    const kind = header.dataset.kind;
    if (!kind) return;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...header.childNodes);
    header.append(button);
    button.addEventListener("click", () => {
      // Text from A to Z first, numbers from the largest first; absent numbers always last.
      const now = header.getAttribute("aria-sort");
      const first = kind === "text" ? "ascending" : "descending";
      const other = kind === "text" ? "descending" : "ascending";
      const order = now === first ? other : first;
      headers.forEach((each) => each.removeAttribute("aria-sort"));
      header.setAttribute("aria-sort", order);
      const sign = order === "ascending" ? 1 : -1;
      const value = (row) => row.cells[column].dataset.value;
      const compare = (a, b) => {
        if (kind === "text") return sign * value(a).localeCompare(value(b));
        const [x, y] = [parseFloat(value(a)), parseFloat(value(b))];
        return Number.isNaN(x) - Number.isNaN(y) || sign * (x - y) || 0;
      };
      body.append(...[...body.rows].sort(compare));
    });
  });
}

function makeSearchable(input, table, found) {
  const rows = [...table.tBodies[0].rows];
  input.closest("[hidden]").hidden = false;
  const search = () => {
    const wanted = input.value.trim().toLowerCase();
    let count = 0;
    for (const row of rows) {
      row.hidden = !row.dataset.search.includes(wanted);
      count += !row.hidden;
    }
    found.textContent = wanted ? `${count} of ${rows.length}` : "";
  };
  input.addEventListener("input", search);
  search();
}

// What is folded away becomes a slider: how many photographs of a summary are shown.
function makeSlider(details) {
  const tiles = details.previousElementSibling;
  const first = tiles.children.length;
  tiles.append(...details.querySelectorAll("li"));
  const all = [...tiles.children];
  const label = document.createElement("label");
  label.className = "more";
  const slider = document.createElement("input");
  Object.assign(slider, { type: "range", min: 1, max: all.length, value: first });
  const shown = document.createElement("output");
  label.append("Photographs ", slider, shown);
  const update = () => {
    all.forEach((tile, place) => (tile.hidden = place >= slider.valueAsNumber));
    shown.textContent = `${slider.value} of ${all.length}`;
  };
  slider.addEventListener("input", update);
  details.replaceWith(label);
  update();
}

// The arrows lead to the photographs before and after, the slash to the search.
function followKeys(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
  if (event.target.closest("input, select, textarea")) return;
  const search = document.getElementById("search");
  if (event.key === "/" && search) {
    event.preventDefault();
    search.focus();
  }
  const relation = { ArrowLeft: "prev", ArrowRight: "next" }[event.key];
  const link = relation && document.querySelector(`a[rel=${relation}]`);
  if (link) link.click();
}

function openTarget() {
  const target = location.hash && document.getElementById(location.hash.slice(1));
  const folded = target && target.closest("details");
  if (folded) {
    folded.open = true;
    target.scrollIntoView();
  }
}

const table = document.querySelector("table[data-sortable]");
if (table) {
  makeSortable(table);
  makeSearchable(document.getElementById("search"), table, document.getElementById("found"));
}
document.querySelectorAll("details[data-more]").forEach(makeSlider);
document.addEventListener("keydown", followKeys);
window.addEventListener("hashchange", openTarget);
openTarget();
