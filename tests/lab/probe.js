// Runs at the end of a copy of report.html, in a browser: does with it what a reader does, and leaves what it saw as
// JSON in an element of the page. Usage: test_report.py puts it there.
"use strict";
(() => {
  const seen = { width: innerWidth, scrollWidth: document.documentElement.scrollWidth, readouts: {}, tabs: [], spilled: [], overlaps: [], sideways: [] };
  const sections = [...document.querySelectorAll("section")];

  for (const tab of document.querySelectorAll(".tabs button")) {
    tab.click();
    seen.tabs.push({ name: tab.textContent, shown: sections.filter((section) => !section.hidden).map((section) => section.id) });
    for (const figure of document.querySelectorAll("section:not([hidden]) figure")) read(figure);
  }
  if (!seen.tabs.length) document.querySelectorAll("figure").forEach(read);

  function read(figure) {
    const svg = figure.querySelector("svg");
    const target = svg.querySelector("[data-tip]") || svg;
    const box = target.getBoundingClientRect();
    const at = { bubbles: true, clientX: box.left + box.width * 0.6, clientY: box.top + box.height / 2 };
    target.dispatchEvent(new PointerEvent("pointermove", at));
    const tip = document.getElementById("tip");
    seen.readouts[figure.id] = tip.hidden ? "" : tip.textContent;
    const frame = svg.parentElement;
    if (frame.scrollWidth > frame.clientWidth + 1) seen.sideways.push(figure.id);
    const edge = svg.getBoundingClientRect();
    const boxes = [...svg.querySelectorAll("text")].map((text) => [text.textContent, text.getBoundingClientRect()]);
    boxes.forEach(([words, a], index) => boxes.slice(index + 1).forEach(([others, b]) => {
      const [x, y] = [Math.min(a.right, b.right) - Math.max(a.left, b.left), Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top)];
      if (words && others && x > 2 && y > 4) seen.overlaps.push(figure.id + ": " + words + " / " + others);
    }));
    for (const text of svg.querySelectorAll("text")) {
      const own = text.getBoundingClientRect();
      if (own.left < edge.left - 1 || own.right > edge.right + 1 || own.top < edge.top - 1 || own.bottom > edge.bottom + 1)
        seen.spilled.push(figure.id + ": " + text.textContent);
    }
  }

  const out = document.createElement("script");
  out.type = "application/json";
  out.id = "probe";
  out.textContent = JSON.stringify(seen);
  document.body.append(out);
})();
