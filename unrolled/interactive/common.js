// What the figures share.

// A number as text, with a true minus, and never minus nothing. parts.py has the same.
function format(x, digits = 3) {
  const text = x.toFixed(digits);
  return (Number(text) === 0 ? text.replace("-", "") : text).replace("-", "−");
}

// Writes a number, rounded for the eye and whole for whoever asks.
function write(element, x, digits = 3, unit = "") {
  element.textContent = format(x, digits) + unit;
  element.dataset.value = x;
}

// Nothing to say in a place for a number.
function blank(element) {
  element.textContent = "–";
  delete element.dataset.value;
}

// Writes beside each slider where it stands, and tells a screen reader the same.
function tellSliders(form) {
  for (const row of all(form, ".un-slider")) {
    const output = row.querySelector("output"), input = row.querySelector("input");
    write(output, input.valueAsNumber, output.dataset.digits, output.dataset.unit);
    input.ariaValueText = output.textContent;
  }
}

const all = (element, selector) => [...element.querySelectorAll(selector)];

// The axes of a panel that Python drew: from numbers to places in the picture.
function axes(figure, name) {
  const svg = figure.querySelector(`[data-panel="${name}"]`);
  const [left, top, width, height] = svg.dataset.box.split(" ").map(Number);
  const [x0, x1] = svg.dataset.x.split(" ").map(Number);
  let [y0, y1] = svg.dataset.y.split(" ").map(Number);
  const at = (x, y) => [left + ((x - x0) / (x1 - x0)) * width, top + ((y1 - y) / (y1 - y0)) * height];
  return {
    svg, at,
    // Gives the vertical axis other ends; the ticks stay where they are and say other numbers.
    rescale(low, high) {
      for (const tick of all(svg, ".un-ytick")) {
        const y = y1 - ((tick.getAttribute("y") - 4 - top) / height) * (y1 - y0);
        const scaled = low + ((y - y0) / (y1 - y0)) * (high - low);
        tick.textContent = String(Number(scaled.toPrecision(2))).replace("-", "−");
      }
      [y0, y1] = [low, high];
      svg.dataset.y = `${low} ${high}`;
    },
    // Moves an element drawn around the origin to a point.
    put(selector, x, y) {
      svg.querySelector(selector).setAttribute("transform", `translate(${at(x, y).map(p => p.toFixed(1)).join(" ")})`);
    },
    // Draws a line through [x, y, command] points, where the command is M or L.
    curve(selector, points) {
      const places = points.map(([x, y, command]) => command + at(x, y).map(p => p.toFixed(1)).join(" "));
      svg.querySelector(selector).setAttribute("d", places.join(""));
    },
  };
}

// Gives life to the figures of a name that have none yet: a script may be run twice, a figure stand twice on a page.
function start(name, mount) {
  for (const figure of all(document, `.unrolled-interactive[data-figure="${name}"]:not([data-live])`)) {
    figure.dataset.live = "";
    const body = figure.querySelector('script[type="text/html"]').textContent;
    figure.querySelector("figcaption").before(...new DOMParser().parseFromString(body, "text/html").body.childNodes);
    for (const still of all(figure, ".un-still")) still.remove();
    const form = figure.querySelector("form");
    form.addEventListener("submit", event => event.preventDefault());
    form.hidden = false;
    // Else JupyterLab takes the arrow keys, and letters, for its own.
    for (const control of form.elements) control.dataset.lmSuppressShortcuts = "true";
    mount(figure, form);
  }
}
