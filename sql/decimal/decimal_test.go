package decimal

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
)

func (a Int128) big() *big.Int {
	v := new(big.Int).Lsh(big.NewInt(a.Hi), 64)
	return v.Add(v, new(big.Int).SetUint64(a.Lo))
}

// random has values of every length, and the limits.
func random(r *rand.Rand) Int128 {
	v := Int128{Hi: int64(r.Uint64()), Lo: r.Uint64()}
	switch r.IntN(5) {
	case 0:
		v = FromInt(int64(r.Uint64()) >> r.UintN(64))
	case 1:
		v.Hi >>= r.UintN(64)
	case 2:
		v = Power(r.IntN(39))
	case 3:
		v = Power(r.IntN(39)).Neg()
	}
	if v.Hi == math.MinInt64 {
		v.Hi++
	}
	return v
}

var least, most = new(big.Int).Neg(new(big.Int).Lsh(big.NewInt(1), 127)), new(big.Int).Lsh(big.NewInt(1), 127)

func fits(v *big.Int) bool { return v.Cmp(least) >= 0 && v.Cmp(most) < 0 }

func TestArithmeticIsThatOfWholeNumbers(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for range 60_000 {
		a, b := random(r), random(r)
		check := func(op string, got Int128, ok bool, want *big.Int) {
			t.Helper()
			if ok != fits(want) || ok && got.big().Cmp(want) != 0 {
				t.Fatalf("%s %s %s is %s (%v), want %s", a.big(), op, b.big(), got.big(), ok, want)
			}
		}
		s, ok := a.Add(b)
		check("+", s, ok, new(big.Int).Add(a.big(), b.big()))
		s, ok = a.Sub(b)
		check("-", s, ok, new(big.Int).Sub(a.big(), b.big()))
		if s, ok = a.Mul(b); ok || new(big.Int).Abs(new(big.Int).Mul(a.big(), b.big())).Cmp(most) < 0 {
			check("*", s, ok, new(big.Int).Mul(a.big(), b.big()))
		}
		if a.Cmp(b) != a.big().Cmp(b.big()) {
			t.Fatalf("%s compares with %s as %d", a.big(), b.big(), a.Cmp(b))
		}
		if b.Sign() != 0 {
			q, m := a.QuoRem(b)
			wantQ, wantR := new(big.Int).QuoRem(a.big(), b.big(), new(big.Int))
			check("/", q, true, wantQ)
			check("%", m, true, wantR)
		}
		var bytes [16]byte
		a.Put(bytes[:])
		if FromBytes(bytes[:]) != a {
			t.Fatalf("%s is %s after its bytes", a.big(), FromBytes(bytes[:]).big())
		}
		f, _ := new(big.Float).SetInt(a.big()).Float64()
		if got := a.Float(); math.Abs(got-f) > 1e-15*math.Abs(f) {
			t.Fatalf("%s is %g as a double, want %g", a.big(), got, f)
		}
		if back, ok := FromFloat(f); ok {
			if want, _ := new(big.Float).SetFloat64(f).Int(nil); back.big().Cmp(want) != 0 {
				t.Fatalf("%g is %s", f, back.big())
			}
		}
	}
}

func TestTextsComeBack(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 2))
	for range 50_000 {
		a, scale := random(r), r.IntN(39)
		if !a.Fits(38) {
			continue
		}
		text := Append(nil, a, scale)
		if got, ok := Parse(text, 38, scale); !ok || got != a {
			t.Fatalf("%s with %d decimals is %s, which reads as %s (%v)", a.big(), scale, text, got.big(), ok)
		}
	}
}

func TestTextsAreRoundedAndBounded(t *testing.T) {
	for _, c := range []struct {
		text             string
		precision, scale int
		want             string
	}{
		{"1", 3, 2, "1.00"}, {"-1.005", 5, 2, "-1.01"}, {"1.004", 5, 2, "1.00"}, {"0.5", 5, 0, "1"}, {".5", 5, 1, "0.5"}, {"5.", 5, 1, "5.0"},
		{" +12 ", 5, 1, "12.0"}, {"1e3", 5, 0, "1000"}, {"1.5e-2", 5, 3, "0.015"}, {"15E2", 5, 1, "1500.0"}, {"0e999", 5, 1, "0.0"}, {"1e-999", 5, 1, "0.0"},
		{"99.995", 4, 2, ""}, {"100", 2, 0, ""}, {"", 5, 1, ""}, {".", 5, 1, ""}, {"-", 5, 1, ""}, {"1.2.3", 5, 1, ""}, {"1x", 5, 1, ""}, {"1e", 5, 1, ""},
		{"1e999", 38, 0, ""}, {"0x10", 5, 0, ""}, {"nan", 5, 0, ""}, {"99999999999999999999999999999999999999", 38, 0, "99999999999999999999999999999999999999"},
		{"999999999999999999999999999999999999999", 38, 0, ""}, {"-0.00", 5, 2, "0.00"}, {"1e9999999999999999999", 5, 0, ""},
	} {
		v, ok := Parse([]byte(c.text), c.precision, c.scale)
		got := ""
		if ok {
			got = string(Append(nil, v, c.scale))
		}
		if got != c.want {
			t.Errorf("%q as decimal(%d,%d) is %q, want %q", c.text, c.precision, c.scale, got, c.want)
		}
	}
}

func TestDroppedDigitsAreRounded(t *testing.T) {
	for _, c := range []struct {
		v    int64
		mode Rounding
		want int64
	}{
		{15, HalfAway, 2}, {-15, HalfAway, -2}, {14, HalfAway, 1}, {19, Truncate, 1}, {-19, Truncate, -1},
		{11, Floor, 1}, {-11, Floor, -2}, {11, Ceil, 2}, {-11, Ceil, -1}, {10, Ceil, 1}, {-10, Floor, -1},
	} {
		got, ok := FromInt(c.v).Rescale(1, 0, c.mode)
		if v, _ := got.Int(); !ok || v != c.want {
			t.Errorf("%d tenths rounded (%d) is %d, want %d", c.v, c.mode, v, c.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("-12.5e3"), 10, 2)
	f.Fuzz(func(t *testing.T, b []byte, precision, scale int) {
		if precision < 1 || precision > 38 || scale < 0 || scale > precision {
			return
		}
		v, ok := Parse(b, precision, scale)
		if !ok {
			return
		}
		if again, ok := Parse(Append(nil, v, scale), precision, scale); !ok || again != v {
			t.Errorf("%q reads as %s, that as %s", b, v.big(), again.big())
		}
	})
}
