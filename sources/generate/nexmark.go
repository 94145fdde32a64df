package generate

import (
	"math"
	"math/bits"
	"strconv"
)

// NEXMark (Tucker, Tufte, Papadimos, Maier: NEXMark, a benchmark for queries over data streams; the
// distributions are those of the generator of Apache Beam and Nexmark for Flink): people open auctions
// and bid in them. Of 50 events one is a person, three are auctions and the others bids.
const (
	nexmarkRate     = 10_000 // events per second of event time unless a rate is given
	personShare     = 1
	auctionShare    = 3
	nexmarkEpoch    = 50
	firstID         = 1000 // of people and auctions
	firstCategory   = 10
	categories      = 5
	hotRatio        = 100 // one of so many ids is hot
	activePeople    = 1000
	inFlight        = 100 // auctions
	idsAhead        = 10  // that bids and auctions may name before they exist
	hotChannels     = 4
	channels        = 10_000
	disorderFactor  = 953
	personBytes     = 200
	auctionBytes    = 500
	bidBytes        = 100
	nexmarkBlank    = ' '
	nexmarkURLBlank = '_'
)

var (
	firstNames  = []string{"Peter", "Paul", "Luke", "John", "Saul", "Vicky", "Kate", "Julie", "Sarah", "Deiter", "Walter"}
	lastNames   = []string{"Shultz", "Abrams", "Spencer", "White", "Bartels", "Walton", "Smith", "Jones", "Noris"}
	cities      = []string{"Phoenix", "Los Angeles", "San Francisco", "Boise", "Portland", "Bend", "Redmond", "Seattle", "Kent", "Cheyenne"}
	states      = []string{"AZ", "CA", "ID", "OR", "WA", "WY"}
	hotChannel  = []string{"Google", "Facebook", "Baidu", "Apple"}
	nexmarkSite = "https://www.nexmark.com/"
)

// nexmark makes the events.
type nexmark struct {
	seed  uint64
	clock clock
	// group is how many events are mixed up among each other; 1 keeps them in order.
	group int64
	urls  [hotChannels]string
}

func newNexmark(seed uint64, c clock, group int64) *nexmark {
	x := &nexmark{seed: seed, clock: c, group: max(group, 1)}
	for i := range x.urls {
		x.urls[i] = string(x.url(nil, channels+i))
	}
	return x
}

// adjusted is the number whose event comes as event n.
func (x *nexmark) adjusted(n int64) int64 {
	return n/x.group*x.group + n%x.group*disorderFactor%x.group
}

// append appends event n: {"event_type":0,"dateTime":…,"person":{…}}, 1 with an auction or 2 with a bid.
func (x *nexmark) append(dst []byte, n int64) []byte {
	id := x.adjusted(n)
	r := randomFor(x.seed, id)
	at := x.clock.at(id)
	kind := 2
	switch rem := id % nexmarkEpoch; {
	case rem < personShare:
		kind = 0
	case rem < personShare+auctionShare:
		kind = 1
	}
	dst = append(dst, `{"event_type":`...)
	dst = append(dst, byte('0'+kind))
	dst = x.time(dst, at)
	switch kind {
	case 0:
		dst = x.person(append(dst, `,"person":{`...), &r, id, at)
	case 1:
		dst = x.auction(append(dst, `,"auction":{`...), &r, id, at)
	default:
		dst = x.bid(append(dst, `,"bid":{`...), &r, id, at)
	}
	return append(dst, '}', '}')
}

func (x *nexmark) time(dst []byte, at int64) []byte {
	return append(appendTime(append(dst, `,"dateTime":"`...), at), '"')
}

// lastPerson and lastAuction are the numbers of the newest ones when event id comes.
func lastPerson(id int64) int64 { return id / nexmarkEpoch }

func lastAuction(id int64) int64 {
	epoch, offset := id/nexmarkEpoch, id%nexmarkEpoch
	switch {
	case offset < personShare:
		epoch, offset = epoch-1, auctionShare-1
	case offset >= personShare+auctionShare:
		offset = auctionShare - 1
	default:
		offset -= personShare
	}
	return epoch*auctionShare + offset
}

// nextPerson is one of the active people, or one to come.
func nextPerson(r *random, id int64) int64 {
	people := lastPerson(id) + 1
	active := min(people, activePeople)
	return people - active + int64(r.below(int(active+idsAhead)))
}

// nextAuction is one of the auctions in flight, or one to come.
func nextAuction(r *random, id int64) int64 {
	last := lastAuction(id)
	first := max(last-inFlight, 0)
	return first + int64(r.below(int(last-first+1+idsAhead)))
}

// price is 1 to 100 million cents, its logarithm evenly distributed.
func price(r *random) int64 {
	u := float64(r.next()>>11) / (1 << 53)
	return int64(math.Round(100 * math.Pow(10, 6*u)))
}

func (x *nexmark) person(dst []byte, r *random, id, at int64) []byte {
	begin := len(dst)
	dst = number(dst, `"id":`, lastPerson(id)+firstID)
	dst = text(dst, `,"name":"`, firstNames[r.below(len(firstNames))])
	dst = text(dst, ` `, lastNames[r.below(len(lastNames))])
	dst = append(dst, `","emailAddress":"`...)
	dst = word(dst, r, 7, nexmarkBlank)
	dst = append(word(append(dst, '@'), r, 5, nexmarkBlank), `.com","creditCard":"`...)
	for i := range 4 {
		if i > 0 {
			dst = append(dst, ' ')
		}
		dst = appendDigits(dst, r.below(10_000), 4)
	}
	dst = text(dst, `","city":"`, cities[r.below(len(cities))])
	dst = text(dst, `","state":"`, states[r.below(len(states))])
	// What the fields take without their names.
	size := len(dst) - begin - len(`"id":,"name":"","emailAddress":"","creditCard":"","city":"","state":""`)
	return extra(x.time(append(dst, '"'), at), r, size, personBytes)
}

func (x *nexmark) auction(dst []byte, r *random, id, at int64) []byte {
	dst = number(dst, `"id":`, lastAuction(id)+firstID)
	begin := len(dst)
	dst = word(append(dst, `,"itemName":"`...), r, 20, nexmarkBlank)
	dst = word(append(dst, `","description":"`...), r, 100, nexmarkBlank)
	size := len(dst) - begin - len(`,"itemName":"","description":"`) + 7*8
	initial := price(r)
	dst = number(dst, `","initialBid":`, initial)
	dst = number(dst, `,"reserve":`, initial+price(r))
	dst = x.time(dst, at)
	// So long that a hundred auctions are open at a time, on average.
	horizon := x.clock.at(id+inFlight*nexmarkEpoch/auctionShare) - at
	dst = appendTime(append(dst, `,"expires":"`...), at+1+int64(r.below(int(max(2*horizon, 1)))))
	seller := nextPerson(r, id)
	if r.below(4) > 0 {
		seller = lastPerson(id) / hotRatio * hotRatio
	}
	dst = number(dst, `","seller":`, seller+firstID)
	dst = number(dst, `,"category":`, firstCategory+int64(r.below(categories)))
	return extra(dst, r, size, auctionBytes)
}

func (x *nexmark) bid(dst []byte, r *random, id, at int64) []byte {
	auction := nextAuction(r, id)
	if r.below(2) > 0 {
		auction = lastAuction(id) / hotRatio * hotRatio
	}
	bidder := nextPerson(r, id)
	if r.below(4) > 0 {
		bidder = lastPerson(id)/hotRatio*hotRatio + 1
	}
	dst = number(dst, `"auction":`, auction+firstID)
	// The generator of Nexmark for Flink adds the first id twice here, so that few bidders are people.
	dst = number(dst, `,"bidder":`, bidder+firstID)
	dst = number(dst, `,"price":`, price(r))
	if r.below(2) > 0 {
		i := r.below(hotChannels)
		dst = text(dst, `,"channel":"`, hotChannel[i])
		dst = text(dst, `","url":"`, x.urls[i])
	} else {
		i := r.below(channels)
		dst = number(dst, `,"channel":"channel-`, int64(i))
		dst = x.url(append(dst, `","url":"`...), i)
		if r.below(10) > 0 {
			// The absolute value of a signed number of 32 bits.
			dst = number(dst, `&channel_id=`, int64(math.Abs(float64(int32(bits.Reverse32(uint32(i)))))))
		}
	}
	return extra(x.time(append(dst, '"'), at), r, 4*8, bidBytes)
}

// url is that of a channel, always the same.
func (x *nexmark) url(dst []byte, channel int) []byte {
	r := randomFor(x.seed^0x6e65786d61726b, int64(channel))
	dst = append(dst, nexmarkSite...)
	for range 3 {
		dst = append(word(dst, &r, 5, nexmarkURLBlank), '/')
	}
	return append(dst, `item.htm?query=1`...)
}

// word appends 3 to most-1 letters, of which one in 13 is a blank, without blanks at the ends.
func word(dst []byte, r *random, most int, blank byte) []byte {
	begin := len(dst)
	for range 3 + r.below(most-3) {
		if r.below(13) > 0 {
			dst = append(dst, byte('a'+r.below(26)))
		} else if blank != ' ' || len(dst) > begin {
			dst = append(dst, blank)
		}
	}
	for len(dst) > begin && dst[len(dst)-1] == ' ' {
		dst = dst[:len(dst)-1]
	}
	return dst
}

// extra appends letters that make an event of size bytes as large as the target, give or take a fifth.
func extra(dst []byte, r *random, size, target int) []byte {
	dst = append(dst, `,"extra":"`...)
	if room := target - size; room > 0 {
		spread := int(math.Round(float64(room) * 0.2))
		n := room - spread
		if spread > 0 {
			n += r.below(2 * spread)
		}
		// Six letters of a draw: one draw for each would take most of the time.
		for n > 0 {
			v := r.next()
			for k := min(n, 6); k > 0; k-- {
				dst = append(dst, byte('a'+v%26))
				v /= 26
				n--
			}
		}
	}
	return append(dst, '"')
}

func number(dst []byte, before string, n int64) []byte {
	return strconv.AppendInt(append(dst, before...), n, 10)
}

func text(dst []byte, before, s string) []byte {
	return append(append(dst, before...), s...)
}
