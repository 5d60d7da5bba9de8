// One step of the Elman cell, forward and backward; the products with R are cuBLAS's, between the launches.
//
// Arrays are row-major: hs (T + 1, B, H) from h_0 to h_T; a = W x + b, da, g and y (T, B, H), of which step t is taken;
// dh and stays (B, H). mask (T, B) is false where a sequence has ended; a null pointer stands for "everywhere true".
//
// Thread k has unit k % H of sequence k / H. Neighbouring threads so read neighbouring addresses, and the hardware
// fetches the numbers of a whole warp (32 threads) in as few segments of 32 bytes as can be: coalesced access.

// h_t = f(a_t + R h_(t-1)); the product has been left where h_t will be.
extern "C" __global__ void elman_forward(
    int t, int B, int H, int f, const bool* mask, const real* a,
    real* hs, real* y) {
  const int k = blockIdx.x * blockDim.x + threadIdx.x;
  if (k >= B * H) return;  // the last block is seldom full
  const size_t before = size_t(t) * B * H + k, after = before + B * H;
  const bool alive = !mask || mask[t * B + k / H];
  const real h = alive ? squash(f, a[before] + hs[after]) : hs[before];
  hs[after] = h;
  y[before] = alive ? h : 0;
}

// da_t = dh_t f'(a_t), where dh_t is what came back through R (dh), what ended sequences keep, and what the loss says.
extern "C" __global__ void elman_backward(
    int t, const real* dh, int B, int H, int f, const bool* mask, const real* hs, const real* g, real* stays,
    real* da) {
  const int k = blockIdx.x * blockDim.x + threadIdx.x;
  if (k >= B * H) return;
  const size_t at = size_t(t) * B * H + k;
  const bool alive = !mask || mask[t * B + k / H];
  const real d = (dh ? dh[k] : 0) + (stays ? stays[k] : 0) + (g && alive ? g[at] : 0);
  const real s = slope(f, hs[at + B * H]);
  da[at] = alive && s != 0 ? d * s : 0;  // selects: an infinite cotangent times 0 would be NaN
  if (stays) stays[k] = alive ? 0 : d;   // past its end a sequence passes dh on as it is
}
