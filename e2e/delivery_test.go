package e2e

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/e2e/rig"
)

func TestLakeHoldsExactlyTheInput(t *testing.T) {
	needStore(t)
	const n = 200_000
	file := clicks(t, n)
	p := example(t, "clicks_to_s3.yaml", "EVENTS="+file)

	summary, _ := p.run()
	if summary.Result != "delivered" || summary.Stream("clicks").Records != n {
		t.Errorf("result %q, %d records in the stream; want delivered, %d", summary.Result, summary.Stream("clicks").Records, n)
	}
	if total := summary.Task("lake").Total; total.In != n || total.Passed != n {
		t.Errorf("ledger %+v; want %d in and passed", total, n)
	}
	table, objects := p.delivered()
	sameEvents(t, file, table)
	sameObjects(t, summary.Task("lake"), objects)

	types, err := duck.Lines(t.Context(), "SELECT column_name, column_type FROM (DESCRIBE SELECT * FROM "+table+")")
	must(t, err)
	want := []string{
		"event_time|TIMESTAMP WITH TIME ZONE", "user_id|VARCHAR", "session_id|VARCHAR", "url|VARCHAR", "action|VARCHAR",
		"price|DOUBLE", "quantity|BIGINT", "country|VARCHAR", "user_agent|VARCHAR", "geo|STRUCT(lat DOUBLE, lon DOUBLE)", "seq|BIGINT",
	}
	if strings.Join(types, "\n") != strings.Join(want, "\n") {
		t.Errorf("columns\n%s\nwant\n%s", strings.Join(types, "\n"), strings.Join(want, "\n"))
	}

	again, _ := p.run()
	if again.Result != "delivered" || again.Task("lake").Run.In != 0 || again.Stream("clicks").Records != n {
		t.Errorf("the second run: %+v; want nothing new", again)
	}
	if _, after := p.delivered(); len(after) != len(objects) {
		t.Errorf("%d objects after the second run, %d before", len(after), len(objects))
	}
}

// sameObjects compares what a task says it created with what is in the bucket. An earlier run may
// have created some of that.
func sameObjects(t *testing.T, task rig.Task, stored []rig.Downloaded) {
	t.Helper()
	if task.Delivered.Objects != int64(len(stored)) {
		t.Errorf("%s created %d objects in all runs, %d are in the bucket", task.Name, task.Delivered.Objects, len(stored))
	}
	bytes := map[string]int64{}
	for _, o := range stored {
		bytes[o.Key] = o.Bytes
	}
	for _, o := range task.Objects {
		if size, ok := bytes[o.Key]; !ok || size != o.Bytes {
			t.Errorf("object %s of %d bytes is in the summary; in the bucket: %v, %d bytes", o.Key, o.Bytes, ok, size)
		}
	}
}

func TestWindowsEqualTheOracle(t *testing.T) {
	const n = 200_000
	file := clicks(t, n)
	out := filepath.Join(t.TempDir(), "revenue.ndjson")
	p := example(t, "revenue.yaml", "EVENTS="+file, "OUT="+out)

	summary, _ := p.run()
	query := summary.Task("revenue")
	purchases := number(t, "SELECT COUNT(*) FROM %s WHERE action = 'purchase'", events(file))
	if query.In() != n || query.Total.Aggregated != purchases || query.Filtered() != n-purchases {
		t.Errorf("ledger of the query %+v; want %d in, %d aggregated and the rest filtered", query.Steps, n, purchases)
	}
	c := sameRevenue(t, file, out)
	if written := summary.Task("out").Total.Passed; written != c.produced {
		t.Errorf("the sink passed %d rows, want %d", written, c.produced)
	}

	p.run()
	sameRevenue(t, file, out)
}

func TestQuickstartDeliversTheEarthquakesOnce(t *testing.T) {
	p := example(t, "quickstart.yaml")
	p.dir = root // its paths are relative to the repository
	const quakes = 1707
	input := fmt.Sprintf("read_ndjson('%s/pipelines/examples/data/earthquakes.ndjson', columns = {id: 'VARCHAR', time: 'VARCHAR', type: 'VARCHAR', magnitude: 'DOUBLE'})", root)

	summary, exit := p.run()
	if summary.Result != "delivered" || summary.Stream("quakes").Records != quakes {
		t.Fatalf("summary %+v\n%s", summary, exit.Stderr)
	}
	for _, task := range summary.Tasks {
		for _, step := range task.Steps {
			if step.Late != 0 || step.Bad != 0 {
				t.Errorf("%s: %+v; want nothing late or bad", task.Name, step)
			}
		}
	}
	lake := fmt.Sprintf("read_parquet(%s, filename=true, hive_partitioning=false)", quoted(parquetFiles(t, p.data)))
	if c := countBy(t, "id", input, lake); c.produced != quakes || c.delivered != quakes || c.duplicated != 0 || c.lost != 0 {
		t.Errorf("lake: %v", c)
	}
	if n := number(t, `SELECT COUNT(*) FROM %s l JOIN %s i USING (id)
		WHERE epoch_us(l.time) <> epoch_us(i.time::TIMESTAMP) OR l.magnitude IS DISTINCT FROM i.magnitude OR l.type <> i.type`, lake, input); n != 0 {
		t.Errorf("%d rows differ from the input", n)
	}
	if n := number(t, "SELECT COUNT(*) FROM %s WHERE NOT contains(filename, 'day=' || strftime(make_timestamp(epoch_us(time)), '%%Y-%%m-%%d') || '/')", lake); n != 0 {
		t.Errorf("%d rows are in the partition of another day", n)
	}
	hours := number(t, "SELECT COUNT(*) FROM (SELECT DISTINCT date_trunc('hour', time::TIMESTAMP), type FROM %s)", input)
	if rows := summary.Task("metrics").Total.In; rows != hours {
		t.Errorf("%d rows of hourly metrics, want %d", rows, hours)
	}

	again, _ := p.run()
	for _, task := range again.Tasks {
		if before := summary.Task(task.Name); task.In() != before.In() || len(task.Objects) != 0 || task.Delivered != before.Delivered {
			t.Errorf("the second run delivered: %+v", task)
		}
	}
	if again.Result != "delivered" || again.Stream("quakes").Records != quakes {
		t.Errorf("the second run: %+v", again)
	}
}

// parquetFiles are the files below dir that hold Parquet, whatever they are called: the embedded
// store keeps objects in its own way.
func parquetFiles(t *testing.T, dir string) []string {
	t.Helper()
	var files []string
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.HasSuffix(path, ".parquet") {
			files = append(files, path)
		}
		return err
	}))
	if len(files) == 0 {
		t.Fatalf("no Parquet object below %s", dir)
	}
	return files
}

// quoted is a list of strings in SQL.
func quoted(all []string) string { return "['" + strings.Join(all, "', '") + "']" }
