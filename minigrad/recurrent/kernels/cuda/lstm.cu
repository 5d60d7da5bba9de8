// One step of an LSTM of any CellSpec without gate recurrence; the products with R are cuBLAS's, between the launches.
//
// Arrays are row-major: hs, cs (T + 1, B, H) from h_0, c_0 to h_T, c_T; a, da (T, B, rows) and g, y (T, B, H), of which
// step t is taken; fed (B, rows) is R h_(t-1); dh, stays, dc (B, H); p (3, H) holds the peepholes of i, f, o. mask
// (T, B) is false where a sequence has ended. A null pointer means: no mask, no peepholes, cotangents that are 0.
//
// The rows of a stand in blocks, of which at_i, at_f, at_z, at_o say the beginnings; -1 is a gate left out, which is 1
// at all times. S cells share their gates: a gate has H / S rows, z has H. A thread has one such block of cells (S is
// mostly 1) of one sequence, neighbouring threads neighbouring units: their reads are coalesced where S = 1.
//
// What differs from cell to cell is asked at run time: all threads answer alike, so no warp divides, and a step waits
// for memory, not for arithmetic. One compilation serves all variants.

// i, f = sigmoid(a_if + p_if c_(t-1)), z = g(a_z), c_t = f c_(t-1) + i z, o = sigmoid(a_o + p_o c_t), h_t = o h(c_t).
// i, f, z, o take the place of their pre-activations in a.
extern "C" __global__ void lstm_forward(
    int t, int B, int H, int S, int rows, int at_i, int at_f, int at_z, int at_o, int coupled, int squash_g,
    int squash_h, const real* p, const bool* mask, const real* fed, real* a, real* hs, real* cs, real* y) {
  const int blocks = H / S, k = blockIdx.x * blockDim.x + threadIdx.x;
  if (k >= B * blocks) return;  // the last block of threads is seldom full
  const int b = k / blocks, j = k % blocks, first = j * S;
  const size_t step = size_t(t) * B + b, before = step * H + first, after = before + size_t(B) * H;
  const bool alive = !mask || mask[step];
  a += step * rows;
  fed += size_t(b) * rows;

  // With peepholes a block is a single cell, and c its state.
  real c = cs[before], i = 1, f = 1, o = 1;
  if (at_i >= 0) i = a[at_i + j] = logistic(a[at_i + j] + fed[at_i + j] + (p ? p[j] * c : 0));
  if (at_f >= 0) f = a[at_f + j] = logistic(a[at_f + j] + fed[at_f + j] + (p ? p[H + j] * c : 0));
  if (coupled) f = 1 - i;
  for (int n = 0; n < S; ++n) {
    const int row = at_z + first + n;
    const real z = a[row] = squash(squash_g, a[row] + fed[row]);
    c = f * cs[before + n] + i * z;
    if (n == 0 && at_o >= 0) o = a[at_o + j] = logistic(a[at_o + j] + fed[at_o + j] + (p ? p[2 * H + j] * c : 0));
    const real h = o * squash(squash_h, c);
    cs[after + n] = alive ? c : cs[before + n];  // past its end a sequence keeps its states
    hs[after + n] = alive ? h : hs[before + n];
    y[before + n] = alive ? h : 0;
  }
}

// From dh_t to the cotangents of the pre-activations, da_t, and to dc_(t-1).
//
//   dh_t = what came back through R (dh) + what ended sequences keep + what the loss says (g)
//   da_o = dh_t h(c_t) o (1 - o)               summed over the cells that share the gate, as are da_i and da_f
//   dc_t = f dc_(t+1) + ... + dh_t o h'(c_t) + p_o da_o
//   da_z = dc_t i g'(a_z)      da_i = dc_t z i (1 - i)      da_f = dc_t c_(t-1) f (1 - f)
//   dc_(t-1) = dc_t f + p_i da_i + p_f da_f    the p only where the gradient is not cut there
//
// Coupled, i also takes c_(t-1) away: da_i = dc_t (z - c_(t-1)) i (1 - i).
extern "C" __global__ void lstm_backward(
    int t, const real* dh, int B, int H, int S, int rows, int at_i, int at_f, int at_z, int at_o, int coupled,
    int squash_g, int squash_h, const real* p, const bool* mask, const real* a, const real* cs, const real* g,
    real* stays, real* dc, real* da) {
  const int blocks = H / S, k = blockIdx.x * blockDim.x + threadIdx.x;
  if (k >= B * blocks) return;
  const int b = k / blocks, j = k % blocks, first = j * S;
  const size_t step = size_t(t) * B + b, before = step * H + first, after = before + size_t(B) * H;
  const size_t state = size_t(b) * H + first;
  const bool alive = !mask || mask[step];
  a += step * rows;
  da += step * rows;

  const real i = at_i >= 0 ? a[at_i + j] : 1, o = at_o >= 0 ? a[at_o + j] : 1;
  const real f = coupled ? 1 - i : at_f >= 0 ? a[at_f + j] : 1;
  real da_i = 0, da_f = 0, da_o = 0;
  for (int n = 0; n < S; ++n) {
    real d = (dh ? dh[state + n] : 0) + (stays ? stays[state + n] : 0);
    if (stays) stays[state + n] = alive ? 0 : d;
    if (!alive) {  // states stay: their cotangents pass as they are, and the pre-activations have none
      da[at_z + first + n] = 0;
      continue;
    }
    if (g) d += g[before + n];
    const real squashed = squash(squash_h, cs[after + n]), past = cs[before + n], z = a[at_z + first + n];
    da_o += d * squashed * o * (1 - o);
    real d_c = dc[state + n] + d * o * slope(squash_h, squashed);
    if (p && at_o >= 0) d_c += p[2 * H + j] * da_o;  // with peepholes n = 0, so that da_o is complete
    da[at_z + first + n] = d_c * i * slope(squash_g, z);
    da_i += d_c * (coupled ? z - past : z) * i * (1 - i);
    da_f += d_c * past * f * (1 - f);
    d_c *= f;
    if (p && at_i >= 0) d_c += p[j] * da_i;
    if (p && at_f >= 0) d_c += p[H + j] * da_f;
    dc[state + n] = d_c;
  }
  if (at_i >= 0) da[at_i + j] = da_i;
  if (at_f >= 0) da[at_f + j] = da_f;
  if (at_o >= 0) da[at_o + j] = da_o;
}
