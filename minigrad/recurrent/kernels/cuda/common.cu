// What all cells share: the type of numbers, the functions that squash a pre-activation, and their slopes.
//
// CUDA C++ is C++ for a function that many threads run at once, each on numbers of its own: which ones, it finds from
// its place, blockIdx and threadIdx. `__global__` functions are launched from Python, `__device__` ones called by them.
// -DREAL=float or -DREAL=double comes with the compilation. No fast-math: exp and tanh are good to the last bits.

typedef REAL real;

// The order is that of FUNCTIONS in on_numpy.py. Where f is known at compile time only its case is left of a switch.
enum { TANH, SIGMOID, RELU, IDENTITY, FOUR_S_MINUS_2, TWO_S_MINUS_1 };

// 1 / (1 + e ** -a), the same numbers as ops.sigmoid. Beyond the bound e ** -a would overflow; the comparison is
// written so that NaN stays NaN, which fmin would drop.
__device__ inline real logistic(real a) {
  const real bound = sizeof(real) == 4 ? 88 : 709;
  return 1 / (1 + exp(-a > bound ? bound : -a));
}

// The activation y = f(a).
__device__ inline real squash(int f, real a) {
  switch (f) {
    case TANH: return tanh(a);
    case SIGMOID: return logistic(a);
    case RELU: return a < 0 ? 0 : a;                      // NaN stays NaN
    case FOUR_S_MINUS_2: return 2 * tanh(real(0.5) * a);  // 4 sigmoid(a) - 2, which would cancel near 0
    case TWO_S_MINUS_1: return tanh(real(0.5) * a);
    default: return a;
  }
}

// The slope f'(a), from the activation y: what forward has saved is enough.
__device__ inline real slope(int f, real y) {
  switch (f) {
    case TANH: return 1 - y * y;
    case SIGMOID: return y * (1 - y);
    case RELU: return y > 0;
    case FOUR_S_MINUS_2: return 1 - y * y / 4;
    case TWO_S_MINUS_1: return (1 - y * y) / 2;
    default: return 1;
  }
}
