package generate

import "fmt"

const (
	users = 200_000
	pages = 25_000
	// jitter is how much earlier than its turn an event may be dated, in milliseconds; a user's
	// device sends late now and then.
	jitter = 5000
	// oddities: one event in so many has escapes in a text.
	oddities = 50
)

var (
	actions   = []string{"view", "click", "search", "login", "cart", "purchase"}
	countries = []string{
		"US", "DE", "GB", "FR", "IN", "BR", "JP", "CA", "ES", "IT", "NL", "PL", "SE", "MX", "AU", "KR", "ZA",
	}
	sections = []string{
		"shoes", "books", "garden", "kitchen", "toys", "audio", "bikes", "lamps", "tools", "games",
	}
)

// clicks are the events of a web shop.
type clicks struct {
	seed                           uint64
	clock                          clock
	user, page, country, agent, do choice
	urls, agents                   []string
}

// Clicks returns the click events of a seed: it appends event n, one line of JSON of about 258
// bytes without its newline, to dst. Events begin at 2026-01-01T00:00:00Z, one a millisecond. The
// function may be called from several goroutines.
func Clicks(seed int64) func(dst []byte, n int64) []byte {
	return newClicks(uint64(seed), clock{start: firstEvent, interval: 1}).append
}

func newClicks(seed uint64, c clock) *clicks {
	k := &clicks{
		seed: seed, clock: c,
		user: newChoice(zipf(users, 1.05)), page: newChoice(zipf(pages, 0.9)),
		country: newChoice(zipf(len(countries), 0.8)),
		do:      newChoice([]float64{50, 20, 12, 6, 8, 4}),
		agents:  userAgents(),
	}
	k.agent = newChoice(zipf(len(k.agents), 0.7))
	for i := range pages {
		section := sections[i%len(sections)]
		k.urls = append(k.urls, fmt.Sprintf("/%s/%d", section, 10_000+i))
	}
	return k
}

// userAgents are 48 names of browsers.
func userAgents() []string {
	var all []string
	systems := []string{"Windows 11", "Linux x86_64", "Macintosh", "iPhone 17", "Android 16", "iPad"}
	for _, system := range systems {
		for version := range 4 {
			all = append(all,
				fmt.Sprintf("Chrome/%[2]d (%[1]s)", system, 136+version),
				fmt.Sprintf("Firefox/%[2]d (%[1]s)", system, 138+version))
		}
	}
	return all
}

// append appends event n.
func (k *clicks) append(dst []byte, n int64) []byte {
	r := randomFor(k.seed, n)
	at := k.clock.at(n)
	if x := r.below(100 * jitter); x < 10*jitter { // one in ten
		at -= int64(x % jitter)
	}
	dst = append(dst, `{"event_time":"`...)
	dst = appendTime(dst, at)
	dst = append(dst, `","user_id":"u`...)
	dst = appendInt(dst, 1000+k.user.draw(&r))
	dst = append(dst, `","session_id":"`...)
	dst = appendHex(dst, r.next())
	odd := r.below(2*oddities) - 1
	dst = append(dst, `","url":"`...)
	dst = append(dst, k.urls[k.page.draw(&r)]...)
	if odd == 0 {
		dst = append(dst, `?q=\"caf\u00e9\"`...)
	}
	dst = append(dst, `","action":"`...)
	dst = append(dst, actions[k.do.draw(&r)]...)
	dst = append(dst, `","price":`...)
	dst = appendFixed(dst, 100+r.below(20_000), 2)
	dst = append(dst, `,"quantity":`...)
	dst = appendInt(dst, 1+r.below(5))
	dst = append(dst, `,"country":"`...)
	dst = append(dst, countries[k.country.draw(&r)]...)
	dst = append(dst, `","user_agent":"`...)
	dst = append(dst, k.agents[k.agent.draw(&r)]...)
	if odd == 1 {
		dst = append(dst, ` \\ \"beta\"\t\ud83d\ude80`...)
	}
	dst = append(dst, `","geo":{"lat":`...)
	dst = appendFixed(dst, r.below(13_000)-6_000, 2)
	dst = append(dst, `,"lon":`...)
	dst = appendFixed(dst, r.below(36_000)-18_000, 2)
	dst = append(dst, `},"seq":`...)
	dst = appendInt(dst, int(n))
	return append(dst, '}')
}
