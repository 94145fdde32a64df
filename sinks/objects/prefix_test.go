package objects

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/millrace-io/millrace/engine/config"
)

// at is a time whose fields all differ.
var at = time.Date(2026, 1, 5, 21, 7, 9, 123_456_789, time.UTC)

func TestPatternsGiveWhatJavaGives(t *testing.T) {
	// Each was taken from java.time.format.DateTimeFormatter with the root locale's English names.
	for pattern, want := range map[string]string{
		"yyyy/MM/dd/HH":             "2026/01/05/21",
		"'year='yyyy'/month='M":     "year=2026/month=1",
		"yy-uuuu":                   "26-2026",
		"MMM MMMM L":                "Jan January 1",
		"d dd D DDD":                "5 05 5 005",
		"E EEE EEEE":                "Mon Mon Monday",
		"h hh a K H k":              "9 09 PM 9 21 21",
		"m mm s ss":                 "7 07 9 09",
		"S SSS SSSSSSSSS":           "1 123 123456789",
		"YYYY-'W'ww":                "2026-W02",
		"'Q'Q QQ":                   "Q1 01",
		"''yyyy''":                  "'2026'",
		"'o''clock'":                "o'clock",
		"yyyy-MM-dd'T'HH:mm:ss.SSS": "2026-01-05T21:07:09.123",
		"'ünï'":                     "ünï",

		"X " + zone(2) + " " + zone(3) + " Z": "Z Z Z +0000",
	} {
		p, err := parsePattern(pattern)
		if err != nil {
			t.Errorf("%s: %v", pattern, err)
			continue
		}
		if got := string(p.append(nil, at)); got != want {
			t.Errorf("%s: %s, want %s", pattern, got, want)
		}
	}
	midnight := time.Date(2026, 12, 31, 0, 0, 0, 0, time.FixedZone("", 5400))
	p, _ := parsePattern("h K k H " + zone(3) + " Z DDD")
	if got := string(p.append(nil, midnight)); got != "12 0 24 0 +01:30 +0130 365" {
		t.Errorf("midnight: %s", got)
	}
}

// zone is the letter of the zone's offset, n times.
func zone(n int) string { return strings.Repeat("X", n) }

// sampleValues are those of an object.
func sampleValues() values {
	return values{time: at, keys: []string{"DE", "42"}, seed: "task/1", errorType: "processing-failed"}
}

func TestPrefixesAreEvaluated(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	g := grammar{keys: []string{"country", "customer"}, zone: berlin}
	for text, want := range map[string]string{
		"":                           "",
		"raw":                        "raw/",
		"/raw/":                      "raw/",
		"!{timestamp:yyyy/MM/dd/HH}": "2026/01/05/22/",
		"a/!{partitionKeyFromQuery:customer}/c=!{partitionKeyFromQuery:country}/": "a/42/c=DE/",
		"x-!{timestamp:'}'HH}-y": "x-}22-y/",
		"!a{b}/":                 "!a{b}/",
	} {
		p, err := g.parse(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := string(p.append(nil, sampleValues())); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

func TestRandomStringsAreTheSameAgain(t *testing.T) {
	p, err := grammar{}.parse("!{firehose:random-string}/!{firehose:random-string}")
	if err != nil {
		t.Fatal(err)
	}
	v := sampleValues()
	first := string(p.append(nil, v))
	a, b, _ := strings.Cut(strings.TrimSuffix(first, "/"), "/")
	if len(a) != 11 || len(b) != 11 || a == b {
		t.Errorf("drawn: %s", first)
	}
	if again := string(p.append(nil, v)); again != first {
		t.Errorf("%s the second time, %s the first", again, first)
	}
	v.seed = "task/2"
	if other := string(p.append(nil, v)); other == first {
		t.Errorf("another object draws %s too", other)
	}
}

func TestLayoutMistakesNamePlaceAndCure(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(l *Layout)
		path   string
		says   []string
	}{
		{"open brace", func(l *Layout) { l.Prefix = "a/!{timestamp:yyyy" }, "prefix", []string{"character 3", "no closing brace"}},
		{"no namespace", func(l *Layout) { l.Prefix = "!{yyyy}" }, "prefix", []string{"character 3", "!{timestamp:yyyy/MM/dd}"}},
		{"unknown namespace", func(l *Layout) { l.Prefix = "!{time:yyyy}" }, "prefix", []string{"character 3", `"time"`, "timestamp"}},
		{"letter", func(l *Layout) { l.Prefix = "a/!{timestamp:yyyy/GG}" }, "prefix", []string{"character 20", "letter G", "'GG'"}},
		{"too many", func(l *Layout) { l.Prefix = "!{timestamp:ddd}" }, "prefix", []string{"character 13", "at most 2"}},
		{"reserved", func(l *Layout) { l.Prefix = "!{timestamp:yyyy[MM]}" }, "prefix", []string{"character 17", "reserved", "'['"}},
		{"quote", func(l *Layout) { l.Prefix = "!{timestamp:yyyy'x}" }, "prefix", []string{"character 17", "not closed"}},
		{"no pattern", func(l *Layout) { l.Prefix = "!{timestamp:}" }, "prefix", []string{"character 13", "missing"}},
		{"unknown key", func(l *Layout) { l.Prefix = "!{partitionKeyFromQuery:city}" }, "prefix", []string{"character 25", `"city"`, "partition_by has country", "AS city"}},
		{"lambda", func(l *Layout) { l.Prefix = "!{partitionKeyFromLambda:x}" }, "prefix", []string{"partitionKeyFromQuery"}},
		{"error type", func(l *Layout) { l.Prefix = "!{firehose:error-output-type}" }, "prefix", []string{"character 12", "error_prefix only"}},
		{"firehose", func(l *Layout) { l.Prefix = "!{firehose:random}" }, "prefix", []string{"random-string"}},
		{"parent", func(l *Layout) { l.Prefix = "../x" }, "prefix", []string{`".."`}},
		{"parent by pattern", func(l *Layout) { l.Prefix = "x/!{timestamp:'..'}/y" }, "prefix", []string{`".."`}},
		{"two slashes", func(l *Layout) { l.Prefix = "x//y" }, "prefix", []string{"remove a slash"}},
		{"control character", func(l *Layout) { l.Prefix = "a/\nb" }, "prefix", []string{"character 3", "U+000A"}},
		{"control character in a pattern", func(l *Layout) { l.ErrorPrefix = "e/!{firehose:error-output-type}/!{timestamp:'\x7f'}" }, "error_prefix", []string{"U+007F"}},
		{"errors among rows", func(l *Layout) { l.Prefix, l.ErrorPrefix = "rows", "/rows/" }, "error_prefix", []string{`"rows/"`, "as prefix does"}},
		{"errors among rows by expressions", func(l *Layout) {
			l.Prefix, l.ErrorPrefix = "processing-failed/!{timestamp:yyyy}", "!{firehose:error-output-type}/!{timestamp:yyyy}/"
		}, "error_prefix", []string{"as prefix does"}},
		{"long", func(l *Layout) { l.Prefix = strings.Repeat("x", 513) }, "prefix", []string{"at most 512"}},
		{"key in errors", func(l *Layout) {
			l.ErrorPrefix = "e/!{firehose:error-output-type}/!{partitionKeyFromQuery:country}"
		}, "error_prefix", []string{"no partition"}},
		{"errors without type", func(l *Layout) { l.ErrorPrefix = "e/!{timestamp:yyyy}" }, "error_prefix", []string{"!{firehose:error-output-type}"}},
		{"zone", func(l *Layout) { l.Prefix, l.Timezone = "!{timestamp:HH}", "Mars/Olympus" }, "timezone", []string{`"Mars/Olympus"`, "Europe/Berlin"}},
		{"local", func(l *Layout) { l.Prefix, l.Timezone = "!{timestamp:HH}", "Local" }, "timezone", []string{"machine"}},
		{"idle zone", func(l *Layout) { l.Timezone = "Europe/Berlin" }, "timezone", []string{"no effect"}},
		{"limit without partitions", func(l *Layout) { l.PartitionBy, l.MaxPartitions = nil, 5 }, "max_partitions", []string{"partition_by"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := Layout{PartitionBy: []string{"country"}}
			if problems := l.Validate(); len(problems) > 0 {
				t.Fatalf("without the mistake: %v", problems)
			}
			c.change(&l)
			wantProblem(t, l.Validate(), c.path, c.says)
		})
	}
	fine := Layout{Prefix: "größe/!{timestamp:yyyy}", ErrorPrefix: "errors/!{firehose:error-output-type}/!{timestamp:yyyy}/!{firehose:random-string}", Timezone: "Asia/Tokyo"}
	if problems := fine.Validate(); len(problems) > 0 {
		t.Errorf("without a mistake: %v", problems)
	}
}

func wantProblem(t *testing.T, problems []config.Problem, path string, says []string) {
	t.Helper()
	if len(problems) != 1 || problems[0].Path != path {
		t.Fatalf("%v, want one at %s", problems, path)
	}
	for _, s := range says {
		if !strings.Contains(problems[0].Message, s) {
			t.Errorf("%q does not say %q", problems[0].Message, s)
		}
	}
}

func FuzzParsePrefix(f *testing.F) {
	for _, seed := range []string{"", "a/b", "!{timestamp:yyyy'x'}", "!{partitionKeyFromQuery:k}!{firehose:random-string}", "!{timestamp:'}", "x/!{", "!{timestamp:'''}'}"} {
		f.Add(seed)
	}
	g := grammar{keys: []string{"k"}, zone: time.UTC}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := g.parse(text)
		if err != nil {
			if len(err.Error()) > 2000+6*len(text) {
				t.Errorf("%d bytes of error for %d", len(err.Error()), len(text))
			}
			return
		}
		v := values{time: at, keys: []string{"v"}, seed: "s"}
		once, twice := string(p.append(nil, v)), string(p.append(nil, v))
		if once != twice {
			t.Errorf("%q, then %q", once, twice)
		}
		if once != "" && !strings.HasSuffix(once, "/") {
			t.Errorf("%q does not end with a slash", once)
		}
		if utf8.ValidString(text) && !utf8.ValidString(once) {
			t.Errorf("%q makes %q", text, once)
		}
		if !strings.Contains(text, "!{") && once != "" && strings.Trim(once, "/") != strings.Trim(text, "/") {
			t.Errorf("plain %q makes %q", text, once)
		}
	})
}
