// A small Elman network run forward, and the product of its Jacobians backward, in full for every lag.

const UNITS = 8, LAGS = 50, LATE = 25, DECADES = 8;

const multiply = (A, B) => A.map(row => B[0].map((_, j) => row.reduce((sum, a, k) => sum + a * B[k][j], 0)));

// The largest singular value of a matrix: rotates pairs of rows until all stand at right angles (Hestenes 1958).
function norm(A) {
  const rows = A.map(row => [...row]);
  const dot = (p, q) => p.reduce((sum, x, k) => sum + x * q[k], 0);
  const largest = () => Math.max(...rows.map(row => dot(row, row)));
  for (let sweep = 0, turned = true; turned && sweep < 60; sweep++) {
    turned = false;
    const small = 1e-14 * largest(); // what cannot change the answer
    for (let i = 0; i < rows.length; i++) {
      for (let j = i + 1; j < rows.length; j++) {
        const [p, q] = [rows[i], rows[j]], c = dot(p, q);
        if (Math.abs(c) <= small) continue;
        const zeta = (dot(q, q) - dot(p, p)) / (2 * c);
        const t = (zeta < 0 ? -1 : 1) / (Math.abs(zeta) + Math.hypot(1, zeta)), cosine = 1 / Math.hypot(1, t);
        rows[i] = p.map((x, k) => cosine * (x - t * q[k]));
        rows[j] = p.map((x, k) => cosine * (t * x + q[k]));
        turned = true;
      }
    }
  }
  return Math.sqrt(largest());
}

// The states of a run, the last one first.
function run(R, inputs, drive) {
  const states = [];
  let h = Array(UNITS).fill(0);
  for (const x of inputs) {
    h = R.map((row, j) => Math.tanh(drive * x[j] + row.reduce((sum, r, k) => sum + r * h[k], 0)));
    states.unshift(h);
  }
  return states;
}

function power(x) {
  if (x < 1e4) return format(x);
  const [digits, exponent] = x.toExponential(1).split("e+");
  return `${digits} · 10${exponent.replace(/\d/g, d => "⁰¹²³⁴⁵⁶⁷⁸⁹"[d])}`;
}

// The points of a line through (0, value), (1, value), ..., without what lies above or below the axes.
function cut(values) {
  const points = [], clip = y => Math.min(Math.max(y, -DECADES), DECADES);
  for (let n = 0; n + 1 < values.length; n++) {
    const [y0, y1] = [values[n], values[n + 1]];
    if (Math.max(y0, y1) < -DECADES || Math.min(y0, y1) > DECADES) continue;
    const at = (y, k) => [y1 === y0 ? n + k : n + (y - y0) / (y1 - y0), y];
    if (!points.length || clip(y0) !== y0) points.push([...at(clip(y0), 0), "M"]);
    points.push([...at(clip(y1), 1), "L"]);
  }
  return points;
}

function mount(figure, form) {
  const [norms, slopes] = ["norms", "slopes"].map(name => axes(figure, name));
  const reading = name => figure.querySelector(`[data-name="${name}"]`);
  const kinds = [...form.elements.kind.options].map(option => option.value);
  const weights = JSON.parse(form.dataset.weights), inputs = JSON.parse(form.dataset.inputs);
  const rate = found => (found[LAGS] / found[LATE]) ** (1 / (LAGS - LATE));

  function line(name, values) {
    norms.curve(`[data-line="${name}"]`, cut(values.map(Math.log10)));
    norms.svg.querySelector(`[data-line="${name}"]`).dataset.values = JSON.stringify(values);
  }

  function render() {
    tellSliders(form);
    const radius = form.elements.radius.valueAsNumber;
    const R = weights[kinds.indexOf(form.elements.kind.value)].map(row => row.map(r => radius * r));
    const states = run(R, inputs, form.elements.drive.valueAsNumber);
    const slope = states.slice(0, LAGS).map(h => h.map(x => 1 - x * x));
    // dh_t/dh_(t-n), and R to the n: one more step back is one more factor on the right.
    let J = R.map((row, j) => row.map((_, k) => Number(j === k))), Rn = J;
    const product = [1], alone = [1];
    for (const s of slope) {
      J = multiply(J, R.map((row, j) => row.map(r => s[j] * r)));
      Rn = multiply(Rn, R);
      product.push(norm(J));
      alone.push(norm(Rn));
    }
    const s1 = norm(R);
    line("product", product);
    line("alone", alone);
    line("bound", product.map((_, n) => s1 ** n));
    line("radius", product.map((_, n) => radius ** n));
    const of = take => slope.map((s, n) => [n, take(s), n ? "L" : "M"]);
    const low = of(s => Math.min(...s)).reverse().map(([n, y]) => [n, y, "L"]);
    const mean = s => s.reduce((sum, x) => sum + x, 0) / s.length;
    slopes.curve(".un-band", of(s => Math.max(...s)).concat(low));
    slopes.curve('[data-line="mean"]', of(mean));

    write(reading("rate"), rate(product));
    write(reading("alone"), rate(alone));
    const largest = Math.max(...product), gone = product.findIndex(x => x <= 0.01);
    reading("largest").textContent = `${power(largest)} at lag ${product.indexOf(largest)}`;
    reading("largest").dataset.value = largest;
    reading("gone").textContent = gone < 0 ? `more than ${LAGS} steps` : `${gone} steps`;
    write(reading("s1"), s1);
    write(reading("slope"), mean(slope.map(mean)));
  }

  form.addEventListener("input", render);
  render();
}
