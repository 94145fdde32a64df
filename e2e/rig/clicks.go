package rig

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"time"
)

// WriteClicks writes n click events as NDJSON, the same every time.
func WriteClicks(path string, n int) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	w := bufio.NewWriterSize(f, 1<<20)
	r := rand.New(rand.NewPCG(1, 2))
	t := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	acts := []string{"view", "view", "view", "cart", "purchase"}
	cs := []string{"DE", "FR", "US", "GB", "IT", "ES", "NL"}
	for i := range n {
		t = t.Add(time.Duration(r.IntN(20)) * time.Millisecond)
		fmt.Fprintf(w, `{"event_time":"%s","user_id":"u%d","session_id":"s%d","url":"https://shop.example/p/%d","action":"%s","price":%.2f,"quantity":%d,"country":"%s","user_agent":"Mozilla/5.0 (X11; Linux x86_64) Gecko/%d","geo":{"lat":%.4f,"lon":%.4f},"seq":%d}`+"\n",
			t.Format("2006-01-02T15:04:05.000Z"), r.IntN(5000), r.IntN(50000), r.IntN(1000), acts[r.IntN(5)], r.Float64()*100, r.IntN(5)+1, cs[r.IntN(7)], r.IntN(100), r.Float64()*180-90, r.Float64()*360-180, i)
	}
	return w.Flush()
}
