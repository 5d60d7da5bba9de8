// The equations of the persistent kernels: one cell, one step, all numbers in registers.
//
// The cell is chosen at compile time, since a loop over time would ask T times: -DFAMILY_ELMAN, -DFAMILY_LSTM or
// -DFAMILY_GRU, and of each GATES, the rows of R that a unit has. p holds the parameters that a unit has besides.

// One thread's cell in one turn, and what it reads of step t. That is asked for a turn ahead, and so waits for nothing.
struct Cell {
  int t, tile, b;
  bool mine, alive;  // some threads have no cell; past its end a sequence keeps its state
  size_t at;         // of [t][b][j] in an array (T, B, H)
  real a[GATES];     // forward: W x + b of each gate; backward: the activations
  real before, after, g;
};

#if defined(FAMILY_ELMAN)  // -DSQUASH=..., a number of common.cu

// h_t = f(a + R h_(t-1))
__device__ void cell_forward(const real* fed, const real*, real* a, real& h, real&) {
  h = squash(SQUASH, a[0] + fed[0]);
}

// `after` is h_t
__device__ real cell_backward(const Cell& cell, const real*, real dh, real&, real* da, real&) {
  const real s = slope(SQUASH, cell.after);
  da[0] = s != 0 ? dh * s : 0;  // selects: an infinite cotangent times 0 would be NaN
  return 0;                     // all of dh_(t-1) comes through R
}

#elif defined(FAMILY_LSTM)  // -DAT_I=..., the place of a gate's row, -1 without it; COUPLED, PEEPHOLES; SQUASH_G, _H

// i, f = sigmoid(a + p c_(t-1)), z = g(a), c_t = f c_(t-1) + i z, o = sigmoid(a + p c_t), h_t = o h(c_t)
__device__ void cell_forward(const real* fed, const real* p, real* a, real& h, real& c) {
  real i = 1, f = 1, o = 1;
  if (AT_I >= 0) i = a[AT_I] = logistic(a[AT_I] + fed[AT_I] + (PEEPHOLES ? p[0] * c : 0));
  if (AT_F >= 0) f = a[AT_F] = logistic(a[AT_F] + fed[AT_F] + (PEEPHOLES ? p[1] * c : 0));
  if (COUPLED) f = 1 - i;
  const real z = a[AT_Z] = squash(SQUASH_G, a[AT_Z] + fed[AT_Z]);
  c = f * c + i * z;
  if (AT_O >= 0) o = a[AT_O] = logistic(a[AT_O] + fed[AT_O] + (PEEPHOLES ? p[2] * c : 0));
  h = o * squash(SQUASH_H, c);
}

// As in lstm.cu. `before` is c_(t-1), `after` c_t; dc is c_t's cotangent from step t + 1, and becomes c_(t-1)'s.
__device__ real cell_backward(const Cell& cell, const real* p, real dh, real& dc, real* da, real&) {
  const real *a = cell.a, past = cell.before, squashed = squash(SQUASH_H, cell.after);
  const real i = AT_I >= 0 ? a[AT_I] : 1, f = COUPLED ? 1 - i : AT_F >= 0 ? a[AT_F] : 1;
  const real z = a[AT_Z], o = AT_O >= 0 ? a[AT_O] : 1;
  const real da_o = dh * squashed * o * (1 - o);
  dc += dh * o * slope(SQUASH_H, squashed);
  if (PEEPHOLES && AT_O >= 0) dc += p[2] * da_o;
  const real da_i = dc * (COUPLED ? z - past : z) * i * (1 - i), da_f = dc * past * f * (1 - f);
  da[AT_Z] = dc * i * slope(SQUASH_G, z);
  if (AT_I >= 0) da[AT_I] = da_i;
  if (AT_F >= 0) da[AT_F] = da_f;
  if (AT_O >= 0) da[AT_O] = da_o;
  dc *= f;
  if (PEEPHOLES && AT_I >= 0) dc += p[0] * da_i;
  if (PEEPHOLES && AT_F >= 0) dc += p[1] * da_f;
  return 0;
}

#elif defined(FAMILY_GRU)

// r, u = sigmoid(a + R h_(t-1)), q = R_n h_(t-1) + b_hn, n = tanh(a + r q), h_t = u h_(t-1) + (1 - u) n
__device__ void cell_forward(const real* fed, const real* b_hn, real* a, real& h, real& q) {
  q = fed[2] + b_hn[0];
  const real r = a[0] = logistic(a[0] + fed[0]), u = a[1] = logistic(a[1] + fed[1]), n = a[2] = tanh(a[2] + r * q);
  h = u * h + (1 - u) * n;
}

// As in gru.cu. `before` is h_(t-1), `after` q_t. The candidate's two sides differ by r: dn goes back through W.
__device__ real cell_backward(const Cell& cell, const real*, real dh, real&, real* da, real& dn) {
  const real r = cell.a[0], u = cell.a[1], n = cell.a[2], q = cell.after;
  dn = dh * ((1 - u) * (1 - n * n));
  da[0] = dn * (q * r * (1 - r));
  da[1] = dh * ((cell.before - n) * u * (1 - u));
  da[2] = dn * r;
  return dh * u;  // what h_t keeps of h_(t-1)
}

#endif
