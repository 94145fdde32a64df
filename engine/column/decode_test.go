package column

import "testing"

func TestSmoke(t *testing.T) {
	events := clickEvents(20)
	b := decodeAll(t, NewDecoder(clickSchema(), nil, Options{}), events)
	for i := range 5 {
		t.Logf("%d %s\n%s", len(events[i]), events[i], AppendJSON(nil, b, i))
	}
	t.Log(HashRows(b))
}
