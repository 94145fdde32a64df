package generate

import (
	"math"
	"strings"
	"testing"
	"time"
)

type nexmarkEvent struct {
	Type   int       `json:"event_type"`
	Time   time.Time `json:"dateTime"`
	Person *struct {
		ID                             int64
		Name, EmailAddress             string
		CreditCard, City, State, Extra string
		DateTime                       time.Time
	}
	Auction *struct {
		ID, InitialBid, Reserve, Seller, Category int64
		ItemName, Description, Extra              string
		DateTime, Expires                         time.Time
	}
	Bid *struct {
		Auction, Bidder, Price int64
		Channel, URL, Extra    string
		DateTime               time.Time
	}
}

func nexmarkEvents(t *testing.T, n, group int64) []nexmarkEvent {
	t.Helper()
	x := newNexmark(1, clock{start: firstEvent, interval: 0.1}, group)
	out := make([]nexmarkEvent, n)
	for i := range out {
		strict(t, x.append(nil, int64(i)), &out[i])
	}
	return out
}

// near checks a share, which is within 5 standard deviations in all but one of a million runs.
func near(t *testing.T, what string, hits, of int, want float64) {
	t.Helper()
	got := float64(hits) / float64(of)
	if sd := math.Sqrt(want * (1 - want) / float64(of)); math.Abs(got-want) > 5*sd {
		t.Errorf("%s: %.4f of %d, want %.4f", what, got, of, want)
	}
}

func TestNexmarkHasItsDistributions(t *testing.T) {
	const n = 200_000
	var people, auctions, bids int
	var hotSeller, hotAuction, hotBidder, hotName, withID, others, cheap int
	var personExtra, auctionExtra, bidExtra int
	urls := map[string]string{}
	for i, e := range nexmarkEvents(t, n, 1) {
		id := int64(i)
		if want := time.UnixMilli(firstEvent + int64(i)/10).UTC(); !e.Time.Equal(want) {
			t.Fatalf("event %d is at %s, want %s", i, e.Time, want)
		}
		switch e.Type {
		case 0:
			if e.Person.ID != firstID+int64(people) {
				t.Fatalf("person %d has id %d", people, e.Person.ID)
			}
			people++
			personExtra += len(e.Person.Extra)
		case 1:
			a := e.Auction
			if a.ID != firstID+int64(auctions) || a.Category < 10 || a.Category > 14 || a.Reserve <= a.InitialBid || !a.Expires.After(a.DateTime) {
				t.Fatalf("auction %d: %+v", auctions, a)
			}
			auctions++
			auctionExtra += len(a.Extra)
			if a.Seller == lastPerson(id)/100*100+firstID {
				hotSeller++
			}
		default:
			b := e.Bid
			if b.Price < 100 || b.Price > 100_000_000 || b.Auction > lastAuction(id)+firstID+10 || b.Bidder > lastPerson(id)+firstID+10 {
				t.Fatalf("bid: %+v", b)
			}
			bids++
			bidExtra += len(b.Extra)
			if b.Price < 100_000 { // half of the decades
				cheap++
			}
			if b.Auction == lastAuction(id)/100*100+firstID {
				hotAuction++
			}
			if b.Bidder == lastPerson(id)/100*100+1+firstID {
				hotBidder++
			}
			base, channelID, found := strings.Cut(b.URL, "&channel_id=")
			if have, ok := urls[b.Channel]; ok && have != base {
				t.Fatalf("channel %s has two urls: %s and %s", b.Channel, have, base)
			}
			urls[b.Channel] = base
			if !strings.HasPrefix(b.Channel, "channel-") {
				hotName++
				continue
			}
			others++
			if found && channelID != "" {
				withID++
			}
		}
	}
	if people != n/50 || auctions != 3*n/50 || bids != 46*n/50 {
		t.Errorf("%d people, %d auctions, %d bids", people, auctions, bids)
	}
	near(t, "hot channels", hotName, bids, 0.5)
	near(t, "channel ids in urls", withID, others, 0.9)
	near(t, "prices below 1,000", cheap, bids, 0.5)
	// The hot one may be drawn among the others, too.
	for what, share := range map[string][3]float64{
		"hot sellers": {float64(hotSeller) / float64(auctions), 0.75, 0.77}, "hot auctions": {float64(hotAuction) / float64(bids), 0.5, 0.52},
		"hot bidders": {float64(hotBidder) / float64(bids), 0.75, 0.77},
	} {
		if share[0] < share[1]-0.01 || share[0] > share[2]+0.01 {
			t.Errorf("%s: %.4f, want %.2f", what, share[0], share[1])
		}
	}
	if mean := float64(bidExtra) / float64(bids); math.Abs(mean-68) > 1 {
		t.Errorf("bids have %.1f bytes extra, want 68", mean)
	}
	if p, a := float64(personExtra)/float64(people), float64(auctionExtra)/float64(auctions); p < 100 || p > 160 || a < 350 || a > 420 {
		t.Errorf("people have %.1f bytes extra, auctions %.1f", p, a)
	}
}

func TestNexmarkEventsFollowFromTheirNumbers(t *testing.T) {
	a, b := newNexmark(7, clock{interval: 0.1}, 1), newNexmark(7, clock{interval: 0.1}, 1)
	for n := range int64(1000) {
		b.append(nil, 999-n)
		if x, y := a.append(nil, n), b.append(nil, n); string(x) != string(y) {
			t.Fatalf("event %d is %s and %s", n, x, y)
		}
	}
	if string(newNexmark(8, clock{interval: 0.1}, 1).append(nil, 5)) == string(a.append(nil, 5)) {
		t.Error("another seed makes the same events")
	}
}

func TestNexmarkDisorderStaysInItsGroup(t *testing.T) {
	const n, group = 1000, 100
	ordered := newNexmark(1, clock{interval: 1}, 1)
	mixed := newNexmark(1, clock{interval: 1}, group)
	moved := 0
	for g := int64(0); g < n; g += group {
		want, got := map[string]bool{}, map[string]bool{}
		for i := g; i < g+group; i++ {
			a, b := string(ordered.append(nil, i)), string(mixed.append(nil, i))
			want[a], got[b] = true, true
			if a != b {
				moved++
			}
		}
		for line := range want {
			if !got[line] {
				t.Fatalf("group %d lacks %s", g, line)
			}
		}
	}
	if moved < n/2 {
		t.Errorf("only %d of %d events are out of order", moved, n)
	}
}
