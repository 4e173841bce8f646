// Tabs, and the read-out under the pointer. Without this script the page shows everything, one below the other.
"use strict";
(() => {
  document.documentElement.classList.add("scripted");

  // ---- a tab for each kind of stragglers

  const tabs = [...document.querySelectorAll(".tabs button")];
  const choose = (chosen) => tabs.forEach((tab) => {
    tab.setAttribute("aria-selected", String(tab === chosen));
    document.getElementById(tab.dataset.section).hidden = tab !== chosen;
  });
  tabs.forEach((tab) => tab.addEventListener("click", () => choose(tab)));
  if (tabs.length) choose(tabs.find((tab) => "#" + tab.dataset.section === location.hash) || tabs[0]);

  // ---- the read-out

  const tip = document.createElement("div");
  tip.id = "tip";
  tip.hidden = true;
  document.body.append(tip);

  const place = (event) => {
    tip.hidden = false;
    const room = tip.getBoundingClientRect();
    const left = event.clientX + 14 + room.width > innerWidth ? event.clientX - 14 - room.width : event.clientX + 14;
    tip.style.left = Math.max(4, left) + "px";
    tip.style.top = Math.max(4, Math.min(event.clientY + 14, innerHeight - room.height - 4)) + "px";
  };
  const element = (name, text, className) => {
    const made = document.createElement(name);
    if (text !== undefined) made.textContent = text;
    if (className) made.className = className;
    return made;
  };
  const figureOf = (value, percent) =>
    percent ? (100 * value).toFixed(2) + "%" : Number(value.toPrecision(4)).toLocaleString("en");

  const nearest = (points, x) => points.reduce((a, b) => (Math.abs(b[0] - x) < Math.abs(a[0] - x) ? b : a));

  const readCurves = (svg, data, event) => {
    const place_ = svg.createSVGPoint();
    place_.x = event.clientX;
    place_.y = event.clientY;
    const [low, high, start, end] = data.plot.x;
    const at = place_.matrixTransform(svg.getScreenCTM().inverse()).x;
    if (at < start || at > end) return hide();
    const linear = low + ((at - start) / (end - start)) * (high - low);
    const x = data.logarithmic ? 10 ** linear : linear;
    const table = element("table");
    for (const series of data.series) {
      if (!series.points.length) continue;
      const [px, mean, least, most] = nearest(series.points, x);
      const row = element("tr");
      const name = element("td");
      name.append(element("span", undefined, "dot c" + series.colour), series.name);
      row.append(name, element("td", figureOf(mean, data.percent)),
        element("td", least === most ? "" : figureOf(least, data.percent) + " to " + figureOf(most, data.percent)),
        element("td", "at " + figureOf(px, false)));
      table.append(row);
    }
    tip.replaceChildren(element("div", data.x + ": " + figureOf(x, false)), table);
    drawCross(svg, at, data.plot.y);
    place(event);
  };
  const drawCross = (svg, x, [, , bottom, top]) => {
    let line = svg.querySelector(".cross");
    if (!line) {
      line = document.createElementNS("http://www.w3.org/2000/svg", "line");
      line.setAttribute("class", "cross");
      svg.append(line);
    }
    for (const [key, value] of Object.entries({ x1: x, x2: x, y1: top, y2: bottom })) line.setAttribute(key, value);
  };
  const hide = () => {
    tip.hidden = true;
    document.querySelectorAll(".cross").forEach((line) => line.remove());
  };

  document.querySelectorAll("figure").forEach((figure) => {
    const svg = figure.querySelector("svg");
    const data = JSON.parse(document.getElementById("data-" + figure.id).textContent);
    figure.addEventListener("pointermove", (event) => {
      if (data.kind === "lines") return readCurves(svg, data, event);
      const said = event.target.getAttribute("data-tip");
      if (!said) return hide();
      tip.replaceChildren(element("div", said));
      place(event);
    });
    figure.addEventListener("pointerleave", hide);
  });
})();
