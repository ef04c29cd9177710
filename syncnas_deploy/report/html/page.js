"use strict";
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const root = document.documentElement, tip = document.getElementById("tip"), theme = document.getElementById("theme");

  const dark = () => root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  const name = () => { theme.textContent = dark() ? "Light" : "Dark"; };
  theme.hidden = false;
  theme.onclick = () => { root.dataset.theme = dark() ? "light" : "dark"; name(); };
  name();

  const hide = () => { tip.hidden = true; };
  const show = (text, x, y) => {
    tip.textContent = text;
    tip.hidden = false;
    const box = tip.getBoundingClientRect();
    tip.style.left = Math.max(4, Math.min(x + 12, innerWidth - box.width - 4)) + "px";
    tip.style.top = (y + 18 + box.height > innerHeight ? y - box.height - 8 : y + 14) + "px";
  };
  const slice = (target) => target.closest && target.closest(".track li");
  const nearest = (area, x, y) => {
    const box = area.getBoundingClientRect();
    let best = 24 * 24, text = "";
    for (const path of all("[data-tips]", area)) {
      path.places ??= [...path.getAttribute("d").matchAll(/M(\S+) (\S+?)h0/g)].map((m) => [m[1] / 1000, m[2] / 1000]);
      path.texts ??= path.dataset.tips.split("|");
      path.places.forEach(([across, down], i) => {
        const far = (box.left + across * box.width - x) ** 2 + (box.top + down * box.height - y) ** 2;
        if (far < best) { best = far; text = path.texts[i]; }
      });
    }
    return text;
  };
  document.addEventListener("pointermove", (event) => {
    const item = slice(event.target), area = event.target.closest(".area");
    const text = item ? item.querySelector(".vh").textContent : area && nearest(area, event.clientX, event.clientY);
    if (text) show(text, event.clientX, event.clientY); else hide();
  });
  document.addEventListener("focusin", (event) => {
    const item = slice(event.target), box = item && item.getBoundingClientRect();
    if (item) show(item.querySelector(".vh").textContent, box.left, box.bottom); else hide();
  });
  document.addEventListener("keydown", (event) => {
    const item = slice(event.target), step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (event.key === "Escape") hide();
    if (!item || !step) return;
    const others = all("li[tabindex]:not([hidden])", item.parentNode), next = others[others.indexOf(item) + step];
    if (next) { next.focus(); event.preventDefault(); }
  });
  const enter = () => all(".track").forEach((track) => {
    all("li[tabindex]", track).forEach((item) => { item.tabIndex = -1; });
    const first = track.querySelector("li[tabindex]:not([hidden])");
    if (first) first.tabIndex = 0;
  });
  enter();

  const micro = (us) => us.toLocaleString("en", { maximumFractionDigits: us < 100 ? 1 : 0 });
  const ms = (us) => (us / 1000).toFixed(us < 1000 ? 3 : 2) + "\u00a0ms";
  const data = JSON.parse(document.getElementById("data").textContent);
  for (const input of all("[data-runs]")) {
    const { top, runs } = data[input.dataset.runs], lane = document.getElementById("m" + input.dataset.runs);
    input.closest(".pick").hidden = false;
    input.oninput = () => {
      const [heading, ...units] = runs[input.value];
      lane.querySelector(".run-name").textContent = heading;
      all(".track", lane).forEach((track, unit) => {
        let from = 0;
        [...track.children].forEach((item, i) => {
          const to = units[unit][i], note = item.querySelector(".vh"), number = item.querySelector("i");
          item.hidden = to <= from;
          item.style.left = 100 * from / top + "%";
          item.style.width = 100 * (to - from) / top + "%";
          note.textContent = note.textContent.split(": ")[0] + `: ${micro(to - from)} us (${ms(from)} to ${ms(to)})`;
          if (number) {
            number.textContent = micro(Math.round(to - from));
            number.className = number.textContent.length > 6 ? "longer" : number.textContent.length > 3 ? "long" : "";
          }
          from = to;
        });
      });
      enter();
    };
  }
  addEventListener("beforeprint", () => all("details").forEach((part) => { part.open = true; }));
})();
