// What a test asks of a page in a browser. Each function gives back a list of faults; an empty one is good.
(() => {
  const shown = (element) => element.checkVisibility({ visibilityProperty: true, contentVisibilityAuto: true })
    && element.getClientRects().length && !element.closest(".vh");
  const texts = () => {
    const found = [], walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let node; (node = walker.nextNode());) {
      const parent = node.parentElement;
      if (node.textContent.trim() && !["SCRIPT", "STYLE", "TITLE"].includes(parent.tagName) && shown(parent)) found.push(node);
    }
    return found;
  };
  const brief = (node) => node.textContent.trim().slice(0, 30);

  const overlaps = () => {
    const faults = [], boxes = [];
    for (const node of texts()) {
      if (node.parentElement.closest("svg, header")) continue;
      const range = document.createRange();
      range.selectNodeContents(node);
      const clip = node.parentElement.closest(".track li, .scroll, pre, .table-wrapper");
      for (const box of range.getClientRects()) {
        const edge = clip ? clip.getBoundingClientRect() : { left: 0, right: Infinity };
        const left = Math.max(box.left, edge.left), right = Math.min(box.right, edge.right);
        if (right - left > 1) boxes.push({ node, left, right, top: box.top, bottom: box.bottom });
      }
    }
    boxes.sort((a, b) => a.top - b.top);
    boxes.forEach((a, i) => {
      for (let j = i + 1; j < boxes.length && boxes[j].top < a.bottom - 3; j++) {
        const b = boxes[j], wide = Math.min(a.right, b.right) - Math.max(a.left, b.left);
        if (a.node !== b.node && wide > 2) faults.push(`overlap: ${brief(a.node)} / ${brief(b.node)}, ${Math.round(wide)} px`);
      }
    });
    return faults;
  };

  const cut = () => {
    const faults = [];
    for (const item of document.querySelectorAll(".track li b, .track li i")) {
      if (shown(item) && item.scrollWidth > item.parentElement.clientWidth + 1) faults.push(`cut: ${brief(item)}`);
    }
    for (const box of document.querySelectorAll(".scroll")) {
      if (shown(box) && box.scrollWidth > box.clientWidth + 1 && !box.querySelector("svg") && !box.closest(".sheet")) faults.push(`scrolls: ${box.getAttribute("aria-label")}`);
    }
    if (document.documentElement.scrollWidth > innerWidth) faults.push("the page scrolls sideways");
    return faults;
  };

  const channels = (colour) => colour.match(/[\d.]+/g).map(Number);
  const luminance = (rgb) => {
    const [r, g, b] = rgb.slice(0, 3).map((c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = () => {
    const faults = new Set();
    for (const node of texts()) {
      let ground = node.parentElement;
      if (ground.closest("svg")) continue;
      const ink = channels(getComputedStyle(ground).color);
      const clear = (element) => { const c = channels(getComputedStyle(element).backgroundColor); return c.length === 4 && c[3] === 0; };
      while (ground.parentElement && clear(ground)) ground = ground.parentElement;
      const [dark, light] = [luminance(ink), luminance(channels(getComputedStyle(ground).backgroundColor))].sort((a, b) => a - b);
      const ratio = (light + 0.05) / (dark + 0.05);
      if (ratio < 4.5) faults.add(`contrast ${ratio.toFixed(2)}: ${brief(node)} (${node.parentElement.className})`);
    }
    return [...faults];
  };

  const unnamed = () => {
    const faults = [];
    for (const svg of document.querySelectorAll("svg")) {
      if (!(svg.getAttribute("aria-label") || svg.querySelector(":scope > title"))) faults.push("a picture without a text");
    }
    for (const figure of document.querySelectorAll("figure")) {
      if (!figure.querySelector("figcaption")?.textContent.trim()) faults.push("a chart without a title");
    }
    for (const box of document.querySelectorAll(".gantt, .stack, .scroll")) {
      if (!box.getAttribute("aria-label")) faults.push(`${box.className} without a label`);
    }
    const names = [...document.querySelectorAll("[id]")].map((element) => element.id);
    if (new Set(names).size !== names.length) faults.push("two elements of one id");
    return faults;
  };

  const planted = () => [...document.querySelectorAll("img, iframe, object, embed, form, base, [onerror], [onclick], [onload]")].map((e) => e.outerHTML.slice(0, 80));

  window.legible = () => [...new Set([...overlaps(), ...cut(), ...contrast()])].slice(0, 20);
  window.faults = () => [...new Set([...overlaps(), ...cut(), ...contrast(), ...unnamed(), ...planted()])].slice(0, 20);
})();
