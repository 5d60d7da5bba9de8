// One step of the GRU, forward and backward; the products with R are cuBLAS's, between the launches.
//
// Arrays are row-major: hs (T + 1, B, H) from h_0 to h_T; a, da (T, B, 3 H) in the order r, u, n; qs, dn, g and y
// (T, B, H), of which step t is taken; fed (B, 3 H) is R h_(t-1); dh and stays (B, H). mask (T, B) is false where a
// sequence has ended. A null pointer means: no mask, no bias b_hn, cotangents that are 0.
//
// Thread k has unit k % H of sequence k / H: neighbouring threads read neighbouring addresses, coalesced.

// r, u = sigmoid(a_ru + fed_ru), q = fed_n + b_hn, n = tanh(a_n + r q), h_t = u h_(t-1) + (1 - u) n.
// r, u, n take the place of their pre-activations in a.
extern "C" __global__ void gru_forward(
    int t, int B, int H, const real* b_hn, const bool* mask, const real* fed, real* a, real* hs, real* qs, real* y) {
  const int k = blockIdx.x * blockDim.x + threadIdx.x;
  if (k >= B * H) return;  // the last block is seldom full
  const int b = k / H, j = k % H;
  const size_t step = size_t(t) * B + b, before = step * H + j, after = before + size_t(B) * H;
  const bool alive = !mask || mask[step];
  a += step * 3 * H + j;
  fed += size_t(b) * 3 * H + j;

  const real past = hs[before], q = fed[2 * H] + (b_hn ? b_hn[j] : 0);
  const real r = logistic(a[0] + fed[0]), u = logistic(a[H] + fed[H]), n = tanh(a[2 * H] + r * q);
  const real h = u * past + (1 - u) * n;
  a[0] = r;
  a[H] = u;
  a[2 * H] = n;
  qs[before] = q;
  hs[after] = alive ? h : past;  // past its end a sequence keeps its state
  y[before] = alive ? h : 0;
}

// dn_t = dh_t (1 - u) (1 - n^2), da_u = dh_t (h_(t-1) - n) u (1 - u), da_r = dn_t q r (1 - r), dq_t = dn_t r.
//
// dh_t is what came back through R (dh), what did not pass through R (stays) and what the loss says (g). The
// candidate's two sides differ by the reset gate: dn goes back through W, dq, the third part of da, through R.
extern "C" __global__ void gru_backward(
    int t, const real* dh, int B, int H, const bool* mask, const real* a, const real* hs, const real* qs,
    const real* g, real* stays, real* da, real* dn) {
  const int k = blockIdx.x * blockDim.x + threadIdx.x;
  if (k >= B * H) return;
  const int b = k / H, j = k % H;
  const size_t step = size_t(t) * B + b, at = step * H + j;
  const bool alive = !mask || mask[step];
  a += step * 3 * H + j;
  da += step * 3 * H + j;

  const real r = a[0], u = a[H], n = a[2 * H];
  const real d = (dh ? dh[k] : 0) + stays[k] + (g && alive ? g[at] : 0);
  const real d_n = alive ? d * ((1 - u) * (1 - n * n)) : 0;  // past its end a sequence keeps its state, and stays dh
  da[0] = alive ? d_n * (qs[at] * r * (1 - r)) : 0;
  da[H] = alive ? d * ((hs[at] - n) * u * (1 - u)) : 0;
  da[2 * H] = alive ? d_n * r : 0;
  dn[at] = d_n;
  stays[k] = alive ? d * u : d;
}
