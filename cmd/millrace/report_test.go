package main

import (
	"strings"
	"testing"

	"github.com/millrace-io/millrace/engine/checkpoint"
	"github.com/millrace-io/millrace/pipelines"
)

func TestReportCountsObjectsThatItDoesNotList(t *testing.T) {
	var objects []checkpoint.Object
	for range 20 {
		objects = append(objects, checkpoint.Object{Key: "k", Rows: 2, Bytes: 3})
	}
	var out strings.Builder
	reportDelivery(&out, pipelines.TaskSummary{
		Name: "lake", Type: "s3", Objects: objects,
		Delivered:    checkpoint.Delivered{Objects: 6000, Rows: 12_000, Bytes: 18_000, ErrorRows: 7, ErrorObjects: 2},
		DeliveredRun: checkpoint.Delivered{Objects: 5000, Rows: 10_000, Bytes: 15_000, ErrorRows: 4, ErrorObjects: 1},
	})
	for _, want := range []string{
		"lake (s3): 10,000 rows delivered, 2,000 by earlier runs; 7 rejected rows under its error prefix (4 in this run)\n",
		"  … and 4,989 more\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}
