package kinesis

import (
	"fmt"
	"strings"
	"testing"
)

// tagged is a JSON object of n tags.
func tagged(n int) string {
	var list []string
	for i := range n {
		list = append(list, fmt.Sprintf(`"k%d":"v"`, i))
	}
	return "{" + strings.Join(list, ",") + "}"
}

func TestTagsOfConsumersObeyTheRulesOfStreams(t *testing.T) {
	const arn = `"arn:aws:kinesis:us-east-1:000000000000:stream/s"`
	r := newRig(t, nil)
	r.must("CreateStream", `{"StreamName":"s","ShardCount":1}`)
	for tags, kind := range map[string]string{`{"aws:x":"1"}`: "InvalidArgumentException", `{"AWS:x":"1"}`: "InvalidArgumentException", tagged(51): "LimitExceededException"} {
		if a := r.do("RegisterStreamConsumer", `{"StreamARN":`+arn+`,"ConsumerName":"c","Tags":`+tags+`}`); a.kind != kind {
			t.Errorf("RegisterStreamConsumer with %.20s: %s", tags, a.text)
		}
	}
	c := r.must("RegisterStreamConsumer", `{"StreamARN":`+arn+`,"ConsumerName":"c","Tags":`+tagged(50)+`}`)
	named := `"ResourceARN":"` + c["Consumer"].(map[string]any)["ConsumerARN"].(string) + `"`
	for tags, kind := range map[string]string{`{"aws:x":"1"}`: "InvalidArgumentException", `{"one":"more"}`: "LimitExceededException", `{"k7":"other"}`: ""} {
		if a := r.do("TagResource", `{`+named+`,"Tags":`+tags+`}`); a.kind != kind {
			t.Errorf("TagResource with %s: %s", tags, a.text)
		}
	}
	r.must("UntagResource", `{`+named+`,"TagKeys":["k1","absent"]}`)
	if tags := r.must("ListTagsForResource", `{`+named+`}`)["Tags"].([]any); len(tags) != 49 {
		t.Errorf("%d tags", len(tags))
	}
}
