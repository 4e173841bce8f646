// Numbers that know how wrong float32 may make them: running error analysis (Higham, "Accuracy and stability of
// numerical algorithms", 3.3). `Rounded` is a value in float64 with a bound of the error that arithmetic of unit
// roundoff 2^-24 makes of it; `Dual` is such a value with its derivative by one of the inputs, which has a bound of its
// own (forward accumulation: Griewank and Walther, "Evaluating derivatives", 3.1).
//
// A reference written in these numbers gives the outputs, their derivatives, and tolerances for both that follow from
// the formulas and the numbers at hand. Sums are bounded for any order of their terms (3.1). A backward pass is the
// transposed of forward accumulation: the same products of the same factors, in other sums; and it reads some factors
// that forward has rounded to float32: tests allow it twice the bound.
//
// Functions are taken to be computed within kFunction units of roundoff of their value, or of 1 where they are bounded.
#pragma once

#include <cmath>
#include <cstddef>
#include <vector>

namespace rubato::kernels::reference {

constexpr double kRoundoff = 0x1p-24, kFunction = 8 * kRoundoff;

struct Rounded {
  double value = 0.0, error = 0.0;
  Rounded() = default;
  Rounded(double exact) : value(exact) {}  // NOLINT(google-explicit-constructor): constants in formulas
  Rounded(double v, double e) : value(v), error(e) {}
};

// Of an operation: what its operands' errors do to it, and its own rounding. Zero is exact.
inline Rounded rounded(double value, double error) {
  return {value, error + (value == 0.0 ? 0.0 : kRoundoff * (std::abs(value) + error))};
}
inline Rounded operator-(const Rounded& a) { return {-a.value, a.error}; }
inline Rounded operator+(const Rounded& a, const Rounded& b) {
  const bool copied = (a.value == 0.0 && a.error == 0.0) || (b.value == 0.0 && b.error == 0.0);
  if (copied) return {a.value + b.value, a.error + b.error};
  return rounded(a.value + b.value, a.error + b.error);
}
inline Rounded operator-(const Rounded& a, const Rounded& b) { return a + -b; }
inline Rounded operator*(const Rounded& a, const Rounded& b) {
  return rounded(a.value * b.value, std::abs(a.value) * b.error + std::abs(b.value) * a.error + a.error * b.error);
}
inline Rounded operator/(const Rounded& a, const Rounded& b) {
  const double value = a.value / b.value;
  return rounded(value, (a.error + std::abs(value) * b.error) / (std::abs(b.value) - b.error));
}

struct Dual {
  Rounded value, slope;
  Dual() = default;
  Dual(double exact) : value(exact) {}  // NOLINT(google-explicit-constructor): constants in formulas
  Dual(const Rounded& v, const Rounded& s) : value(v), slope(s) {}
};

inline Dual operator-(const Dual& a) { return {-a.value, -a.slope}; }
inline Dual operator+(const Dual& a, const Dual& b) { return {a.value + b.value, a.slope + b.slope}; }
inline Dual operator-(const Dual& a, const Dual& b) { return {a.value - b.value, a.slope - b.slope}; }
inline Dual operator*(const Dual& a, const Dual& b) {
  return {a.value * b.value, a.slope * b.value + a.value * b.slope};
}
inline Dual operator/(const Dual& a, const Dual& b) {
  const Rounded quotient = a.value / b.value;
  return {quotient, (a.slope - quotient * b.slope) / b.value};
}

inline Dual exp_of(const Dual& a) {
  const double value = std::exp(a.value.value);
  const Rounded y(value, value * (std::expm1(a.value.error) + kFunction));
  return {y, y * a.slope};
}
inline Dual sqrt_of(const Dual& a) {
  const double value = std::sqrt(a.value.value);
  const Rounded y = rounded(value, a.value.error / (2.0 * std::sqrt(a.value.value - a.value.error)));
  return {y, a.slope / (Rounded(2.0) * y)};
}
inline Dual tanh_of(const Dual& a) {
  const Rounded y(std::tanh(a.value.value), a.value.error + kFunction);
  return {y, (Rounded(1.0) - y * y) * a.slope};
}
inline Dual sigmoid_of(const Dual& a) {
  const Rounded y(1.0 / (1.0 + std::exp(-a.value.value)), 0.25 * a.value.error + kFunction);
  return {y, y * (Rounded(1.0) - y) * a.slope};
}

using Duals = std::vector<Dual>;
using Values = std::vector<Duals>;

// n terms, added in whatever order: each partial sum rounds at most the sum of all absolute values, n times.
class Sum {
 public:
  void add(const Dual& term) {
    add(value_, term.value);
    add(slope_, term.slope);
  }
  [[nodiscard]] Dual total() const { return {total(value_), total(slope_)}; }

 private:
  struct Terms {
    double sum = 0.0, error = 0.0, absolute = 0.0;
    std::size_t count = 0;
  };
  static void add(Terms& terms, const Rounded& term) {
    if (term.value == 0.0 && term.error == 0.0) return;
    terms.sum += term.value;
    terms.error += term.error;
    terms.absolute += std::abs(term.value) + term.error;
    ++terms.count;
  }
  static Rounded total(const Terms& terms) {
    return {terms.sum, terms.error + static_cast<double>(terms.count) * kRoundoff * terms.absolute};
  }

  Terms value_, slope_;
};

}  // namespace rubato::kernels::reference
