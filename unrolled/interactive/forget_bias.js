// What a constant forget gate leaves, and the bias that a lag asks for.

const FAR = 4, GRID = 240, LOW = -4, HIGH = 8;

// Digits are lost where f is close to 1, so not by f itself.
const decay = bias => Math.log1p(Math.exp(-bias));
const held = (bias, lag) => Math.exp(-lag * decay(bias));
const biasFor = lag => -Math.log(Math.expm1(Math.LN2 / lag));
const sigma = a => 1 / (1 + Math.exp(-a));

// A number from 0 to 1, a small one with a power of ten.
function power(x) {
  if (x === 0) return "0";
  if (x >= 0.01) return format(x);
  const [digits, exponent] = x.toExponential(1).split("e-");
  return `${digits} · 10⁻${exponent.replace(/\d/g, d => "⁰¹²³⁴⁵⁶⁷⁸⁹"[d])}`;
}

function mount(figure, form) {
  const [lines, biases] = ["decay", "biases"].map(name => axes(figure, name));
  const reading = name => figure.querySelector(`[data-name="${name}"]`);
  const { bias, lag } = form.elements;
  const grid = Array.from({ length: GRID + 1 }, (_, k) => (FAR * k) / GRID);

  function line(name, b) {
    const values = grid.map(x => held(b, 10 ** x));
    lines.curve(`[data-line="${name}"]`, values.map((y, k) => [grid[k], y, k ? "L" : "M"]));
    lines.svg.querySelector(`[data-line="${name}"]`).dataset.values = JSON.stringify(values);
  }

  function render() {
    tellSliders(form);
    const b = bias.valueAsNumber, n = lag.valueAsNumber;
    const asked = biasFor(n), half = Math.LN2 / decay(b), target = Math.log10(n);
    line("asked", asked);
    line("present", b);
    lines.curve('[data-line="lag"]', [[target, 0, "M"], [target, 1, "L"]]);
    lines.put('[data-probe="left"]', target, held(b, n));
    const way = [[LOW, target, "M"], [Math.min(asked, HIGH), target, "L"]];
    biases.curve('[data-line="way"]', asked <= HIGH ? [...way, [asked, -1, "L"]] : way);
    biases.put('[data-probe="half"]', b, Math.log10(half));

    write(reading("f"), sigma(b), 5);
    write(reading("half"), half, 2, " steps");
    const left = held(b, n);
    reading("left").textContent = power(left);
    reading("left").dataset.value = left;
    write(reading("asked"), asked);
    write(reading("gate"), sigma(asked), 5);
    write(reading("rate"), sigma(-b), 5);
  }

  // While a number is being typed the picture keeps the last one.
  form.addEventListener("input", () => { if (form.checkValidity()) render(); });
  if (!form.checkValidity()) form.reset(); // a browser may have kept what was typed before a reload
  render();
}
