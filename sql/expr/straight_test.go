package expr

import (
	"math/rand/v2"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"testing"
)

// straights are pieces of which many sequences are straight.
var straights = strings.Fields(`a b+ c* [^a] [ab]+ [^é] [b-d]* . (?s:.) (?s:.)* .+ (a|b) (ab|c|) (b)? (a+)? (c[ab]*) é (é|a)+ a{2} (?i:b) b*? ^ $ \z \x{fffd} [\x00-\x{7f}]* [^\x00-\x{7f}]+ ((a)|bc) (a|ab) (|a) (^|c*) a(^|c*)$`)

func TestStraightExpressionsFindWhatRegexpDoes(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	pieces := []string{"a", "b", "c", "d", "é", "\n", "\xff", "\xc3", "ab", "\ufffd"}
	direct := 0
	for range 6000 {
		var text strings.Builder
		for range 1 + r.IntN(5) {
			text.WriteString(straights[r.IntN(len(straights))])
		}
		tree, err := syntax.Parse(text.String(), syntax.Perl)
		if err != nil {
			continue
		}
		s := newStraight(tree)
		if s == nil {
			continue
		}
		direct++
		want := regexp.MustCompile(`\A(?:` + text.String() + `)`)
		for range 30 {
			var in []byte
			for range r.IntN(7) {
				in = append(in, pieces[r.IntN(len(pieces))]...)
			}
			var room [maxSlots]int
			if a, b := s.find(room[:], in), want.FindSubmatchIndex(in); !slices.Equal(a, b) {
				t.Fatalf("%q in %q is at %v, want %v", text.String(), in, a, b)
			}
		}
	}
	if direct < 1000 {
		t.Errorf("only %d expressions are straight", direct)
	}
}

func TestAChannelIsFoundWithoutGoingBack(t *testing.T) {
	p, err := newSearched(`(&|^)channel_id=([^&]*)`)
	if err != nil {
		t.Fatal(err)
	}
	if p.first.straight == nil || p.inner.straight == nil {
		t.Error("the expression is left to package regexp")
	}
}
