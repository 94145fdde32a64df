package main

import (
	"github.com/millrace-io/millrace/pipelines"
	"github.com/millrace-io/millrace/sinks"
	sinkfile "github.com/millrace-io/millrace/sinks/file"
	"github.com/millrace-io/millrace/sinks/httpstream"
	"github.com/millrace-io/millrace/sinks/prometheus"
	"github.com/millrace-io/millrace/sinks/s3"
	"github.com/millrace-io/millrace/sinks/s3/embedded"
	"github.com/millrace-io/millrace/sinks/stdout"
	"github.com/millrace-io/millrace/sources"
	sourcefile "github.com/millrace-io/millrace/sources/file"
	"github.com/millrace-io/millrace/sources/generate"
	"github.com/millrace-io/millrace/sources/http"
	"github.com/millrace-io/millrace/sources/kinesis"
	"github.com/millrace-io/millrace/transforms"
	"github.com/millrace-io/millrace/transforms/filter"
	"github.com/millrace-io/millrace/transforms/selection"
)

// components is the one list of what a pipeline file may name as `type:`.
func components() pipelines.Components {
	return pipelines.Components{
		Sources: []sources.Component{
			sourcefile.Component(),
			generate.Component(),
			http.Component(),
			kinesis.Component(),
		},
		Transforms: []transforms.Component{
			filter.Component(),
			selection.Component(),
		},
		Sinks: []sinks.Component{
			sinkfile.Component(),
			s3.Component(new(embedded.Pool)),
			prometheus.Component(),
			httpstream.Component(),
			stdout.Component(),
		},
	}
}
