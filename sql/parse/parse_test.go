package parse

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/sql/ast"
)

// hostile are texts that crash the library or that it reads as something else.
var hostile = []string{
	"/*!*/", "/*!0*/", "/*!*/0", "select 1 /*!*/", "select 1 /*", "select '", "select \"", "select `",
	"select a || b from s", `select "a b" from s`, "select DATE '2024-01-01' from s", "select E'a' from s",
	"select 'a' 'b' from s", "select a from o ASOF JOIN r", "CREATE VIEW v AS garbage", "create table t (a STRING)",
	"select :x, ::list, ?, @x from s", "select a->'b'->'c' from s", "select a.b.c.d.e from s", "select a..b from s",
	"select a[0] from s", "select 1_000 from s", "select \xff from s", "select 'ä' as ö from s", "select # c", "select a from s;;",
	"set a = 1", "show tables", "use x", "begin", "select a from s where a in ()", "select f(a as b) from s", "select f(,) from s",
	"select * from s", "select s.* from s", "select s.*.a from s", "select (a, b) from s", "select a from s where (a,b) in ((1,2))",
	"select case end from s", "select x12, :x1 from s", "select cast(a as) from s", "select cast(a as b(", "select extract(a from) from s",
	"select interval from s", "select interval '1' from s", "select interval 1e400 day from s", "select date from s", "select a as as from s",
	"select stream stream stream from s", "select binary a from s", "select default from s", "select values(a) from s", "select a from dual for update",
	"select group_concat(a order by b separator 'c') from s", "select match(a) against ('b') from s", "select not not not a from s", "select - - - 1 from s",
	"select a from s group by", "select 1 from s group", "select a from s window w", "\ufeffselect a from s", "select a, from s", "select , a from s", ")", "(", "",
}

func TestHostileTextsDoNotPanic(t *testing.T) {
	for _, text := range hostile {
		checkQuery(t, text)
		checkExpr(t, strings.TrimPrefix(text, "select "))
	}
}

func checkQuery(t *testing.T, text string) {
	t.Helper()
	s, err := Query(text)
	if err == nil && (s.Body == nil) {
		t.Errorf("%q: an empty statement", text)
	}
	if err == nil {
		checkCanonical(t, text, s)
	}
	checkError(t, text, err)
}

func checkExpr(t *testing.T, text string) {
	t.Helper()
	e, err := Expr(text)
	if err == nil && e == nil {
		t.Errorf("%q: no expression", text)
	}
	checkError(t, text, err)
}

func checkError(t *testing.T, text string, err error) {
	t.Helper()
	var many ast.Errors
	if errors.As(err, &many) {
		for _, each := range many {
			checkError(t, text, each)
		}
		return
	}
	var mistake *ast.Error
	switch {
	case err == nil:
	case !errors.As(err, &mistake):
		t.Errorf("%q: %v has no place", text, err)
	case mistake.Line < 1 || mistake.Column < 1 || mistake.Line > 1+strings.Count(text, "\n"):
		t.Errorf("%q: %v is outside of the text", text, err)
	case strings.Contains(mistake.Message, ":x") && !strings.Contains(text, ":x"):
		t.Errorf("%q: %v shows a placeholder", text, err)
	case strings.Contains(mistake.Message, "cannot be parsed"):
		t.Errorf("%q: the library panicked: %v", text, err)
	}
}

func TestDeepTextsAreRefused(t *testing.T) {
	for name, text := range map[string]string{
		"parentheses": strings.Repeat("(", 200) + "a" + strings.Repeat(")", 200),
		"not":         strings.Repeat("not ", 5000) + "a",
		"minus":       strings.Repeat("- ", 5000) + "a",
		"plus":        "a" + strings.Repeat("+a", 5000),
		"case":        strings.Repeat("case when a then ", 2000) + "a" + strings.Repeat(" end", 2000),
		"calls":       strings.Repeat("f(", 200) + "a" + strings.Repeat(")", 200),
		"bytes":       strings.Repeat("a", 70_000),
		"tokens":      strings.Repeat("a,", 20_000),
	} {
		if _, err := Expr(text); err == nil {
			t.Errorf("%s: accepted", name)
		} else {
			checkError(t, name, err)
		}
	}
}

func TestLongChainsAreAccepted(t *testing.T) {
	for _, op := range []string{" and ", " or "} {
		e, err := Expr("a" + strings.Repeat(op+"a", 4000))
		if err != nil {
			t.Fatalf("%s: %v", op, err)
		}
		if n := len(e.(*ast.Logic).Terms); n != 4001 {
			t.Errorf("%s: %d terms", op, n)
		}
	}
	e, err := Expr("a in (1" + strings.Repeat(",1", 7000) + ")")
	if err != nil {
		t.Fatal(err)
	}
	if n := len(e.(*ast.In).List); n != 7001 {
		t.Errorf("%d items", n)
	}
}

func TestPlacesCountLinesAndCharacters(t *testing.T) {
	_, err := Query("SELECT 'ä',\n  -- ö\n  \"ü\" ! FROM s")
	var mistake *ast.Error
	if !errors.As(err, &mistake) || mistake.Line != 3 || mistake.Column != 7 {
		t.Errorf("got %v, want a mistake at 3:7", err)
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range hostile {
		f.Add(text)
	}
	data, err := os.ReadFile("testdata/statements.txt")
	if err != nil {
		f.Fatal(err)
	}
	for _, block := range strings.Split(string(data), "\n\n") {
		text, _, _ := strings.Cut(block, "\n")
		f.Add(text)
	}
	f.Add("SELECT window_start, COUNT(*) AS n FROM s WHERE a LIKE 'x%' GROUP BY TUMBLE(ts, INTERVAL '1' MINUTE), k HAVING n > 1")
	f.Fuzz(func(t *testing.T, text string) {
		checkQuery(t, text)
		checkExpr(t, text)
	})
}
