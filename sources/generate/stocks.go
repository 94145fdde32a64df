package generate

import "math"

// shares that are traded, and the prices they began at, in cents.
var shares = []struct {
	symbol, sector string
	price          float64
}{
	{"ABCD", "energy", 8640}, {"BNDX", "finance", 5210}, {"CRVS", "healthcare", 1275}, {"DLFN", "technology", 34050},
	{"EVRT", "retail", 7420}, {"FJRD", "energy", 2810}, {"GLNT", "technology", 15580}, {"HRBR", "transport", 4395},
	{"IVRY", "healthcare", 22060}, {"JNPR", "finance", 980},
}

// walkBits is how far a price's steps reach: 2^walkBits events.
const walkBits = 24

// stocks are trades of shares.
type stocks struct {
	seed  uint64
	clock clock
}

func newStocks(seed uint64, c clock) *stocks { return &stocks{seed: seed, clock: c} }

// append appends event n.
func (s *stocks) append(dst []byte, n int64) []byte {
	r := randomFor(s.seed, n)
	which := r.below(len(shares))
	share := shares[which]
	price := s.price(which, n)
	before := s.price(which, max(n-int64(len(shares)), 0))
	dst = append(dst, `{"event_time":"`...)
	dst = appendTime(dst, s.clock.at(n))
	dst = append(dst, `","symbol":"`...)
	dst = append(dst, share.symbol...)
	dst = append(dst, `","sector":"`...)
	dst = append(dst, share.sector...)
	dst = append(dst, `","price":`...)
	dst = appendFixed(dst, price, 2)
	dst = append(dst, `,"change":`...)
	dst = appendFixed(dst, price-before, 2)
	return append(dst, '}')
}

// price is that of a share at event n, in cents. It wanders: it is a sum of smooth noise in which
// slow changes are large and fast ones small, so any n can be had at once.
func (s *stocks) price(which int, n int64) int {
	sum := 0.0
	for octave := 2; octave <= walkBits; octave += 2 {
		at := n >> octave
		part := float64(n&(1<<octave-1)) / float64(int64(1)<<octave)
		a, b := s.noise(which, octave, at), s.noise(which, octave, at+1)
		part = part * part * (3 - 2*part)
		sum += (a + (b-a)*part) * math.Exp2(float64(octave)/4)
	}
	return max(1, int(shares[which].price*math.Exp(sum/250)))
}

// noise is a number of -1 to 1.
func (s *stocks) noise(which, octave int, at int64) float64 {
	r := randomFor(s.seed^uint64(which+1)<<40^uint64(octave)<<32, at)
	return float64(r.next()>>11)/(1<<52) - 1
}
