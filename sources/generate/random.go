package generate

import (
	"math"
	"math/bits"
	"slices"
)

// firstEvent is the time of the first event unless another is asked for, in milliseconds:
// 2026-01-01T00:00:00Z.
const firstEvent = 1767225600000

// clock gives events their times, in milliseconds.
type clock struct {
	start    int64
	interval float64
}

// since is how long after the first event event n is.
func (c clock) since(n int64) int64 { return int64(float64(n) * c.interval) }

// at is the time of event n.
func (c clock) at(n int64) int64 { return c.start + c.since(n) }

// random is a generator of numbers for one event (SplitMix64: Steele, Lea, Flood, 2014).
type random uint64

// randomFor is the generator of event n.
func randomFor(seed uint64, n int64) random {
	return random(mix(seed*0x9E3779B97F4A7C15 ^ mix(uint64(n)+1)))
}

func mix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	return z ^ z>>31
}

func (r *random) next() uint64 {
	*r += 0x9E3779B97F4A7C15
	return mix(uint64(*r))
}

// below is a number of 0 to n-1.
func (r *random) below(n int) int {
	hi, _ := bits.Mul64(r.next(), uint64(n))
	return int(hi)
}

// choice draws from n things of different frequency in constant time (Walker, 1977).
type choice []struct {
	keep  uint32 // how likely, of 2^32, the thing itself is drawn
	other uint32 // or else this one
}

func newChoice(weights []float64) choice {
	c := make(choice, len(weights))
	sum := 0.0
	for _, w := range weights {
		sum += w
	}
	scaled := slices.Clone(weights)
	var small, large []int
	for i := range scaled {
		scaled[i] *= float64(len(scaled)) / sum
		if scaled[i] < 1 {
			small = append(small, i)
		} else {
			large = append(large, i)
		}
	}
	for len(small) > 0 && len(large) > 0 {
		s, l := small[len(small)-1], large[len(large)-1]
		small = small[:len(small)-1]
		c[s].keep, c[s].other = uint32(scaled[s]*math.MaxUint32), uint32(l)
		if scaled[l] -= 1 - scaled[s]; scaled[l] < 1 {
			large, small = large[:len(large)-1], append(small, l)
		}
	}
	for _, i := range append(small, large...) {
		c[i].keep, c[i].other = math.MaxUint32, uint32(i)
	}
	return c
}

func (c choice) draw(r *random) int {
	x := r.next()
	i, _ := bits.Mul64(x&^math.MaxUint32, uint64(len(c)))
	if uint32(x) <= c[i].keep {
		return int(i)
	}
	return int(c[i].other)
}

// zipf are weights that fall with the rank: 1/rank^s.
func zipf(n int, s float64) []float64 {
	w := make([]float64, n)
	for i := range w {
		w[i] = math.Pow(float64(i+1), -s)
	}
	return w
}
