package expr

import (
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
)

// expressions are pieces that random regular expressions are made of.
var expressions = strings.Fields(`abc bca &id= (a|^) (&|^) ^ $ \A \z \b \B (?m:^) (?i:abc) . .* .? a+ [^b] [a-c]{0,2} (b{2,3}) (c|ab)* (?:a|bc|) ((a)|(b)) é (?s:.) (x?abc) [^&]* ([a-z]+) (abc|é)? (&id=)? [^a] \z (a|(b)|)`)

func TestPatternsFindWhatRegexpDoes(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	pieces := []string{"a", "b", "c", "abc", "bca", "&id=", "é", "\n", " ", "\xff", "AbC"}
	fast, direct := 0, 0
	for range 4000 {
		var text strings.Builder
		for range 1 + r.IntN(4) {
			text.WriteString(expressions[r.IntN(len(expressions))])
		}
		p, err := newSearched(text.String())
		if err != nil {
			continue
		}
		if p.before >= 0 {
			fast++
			if p.inner.straight != nil {
				direct++
			}
		}
		want := regexp.MustCompile(text.String())
		for range 20 {
			var in []byte
			for range r.IntN(9) {
				in = append(in, pieces[r.IntN(len(pieces))]...)
			}
			if got := p.match(in); got != want.Match(in) {
				t.Fatalf("%q matches %q: %v", text.String(), in, got)
			}
			found := want.FindSubmatch(in)
			for g := range want.NumSubexp() + 1 {
				var group []byte
				if found != nil {
					group = found[g]
				}
				if got := p.group(in, g); string(got) != string(group) || (got == nil) != (group == nil) {
					t.Fatalf("group %d of %q in %q is %q, want %q", g, text.String(), in, got, group)
				}
			}
		}
	}
	if fast < 400 || direct < 100 {
		t.Errorf("only %d expressions have a text to look for first, and %d are straight from there", fast, direct)
	}
}

func BenchmarkChannelOfURL(b *testing.B) {
	p, err := newSearched(`(&|^)channel_id=([^&]*)`)
	if err != nil {
		b.Fatal(err)
	}
	url := []byte("https://www.nexmark.com/h_vp/uok/d_iv/item.htm?query=1&channel_id=480247808")
	for b.Loop() {
		p.group(url, 2)
	}
}
