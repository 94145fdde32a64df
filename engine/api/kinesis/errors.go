package kinesis

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/millrace-io/millrace/engine/stream"
	"github.com/millrace-io/millrace/engine/stream/capacity"

	"github.com/millrace-io/millrace/engine/api/control"
	"github.com/millrace-io/millrace/engine/api/wire"
)

func invalid(format string, args ...any) error {
	return &wire.Fault{Type: "InvalidArgumentException", Message: fmt.Sprintf(format, args...)}
}

func validation(format string, args ...any) error {
	return &wire.Fault{Type: "ValidationException", Message: fmt.Sprintf(format, args...)}
}

func limitExceeded(format string, args ...any) error {
	return &wire.Fault{Type: "LimitExceededException", Message: fmt.Sprintf(format, args...)}
}

func inUse(format string, args ...any) error {
	return &wire.Fault{Type: "ResourceInUseException", Message: fmt.Sprintf(format, args...)}
}

func notFound(format string, args ...any) error {
	return &wire.Fault{Type: "ResourceNotFoundException", Message: fmt.Sprintf(format, args...)}
}

// dryRun is the answer that all would have gone well.
func dryRun() error {
	return &wire.Fault{Type: "DryRunOperationException", Message: "Request would have succeeded, but DryRun flag is set."}
}

func (s *Service) noStream(name string) error {
	return notFound("Stream %s under account %s not found.", name, s.o.Account)
}

func (s *Service) noShard(shard, name string) error {
	return notFound("Could not find shard %s in stream %s under account %s.", shard, name, s.o.Account)
}

// tooFast is the answer to who puts or reads more than a shard takes or gives.
func (s *Service) tooFast(shard, name string) error {
	return &wire.Fault{Type: throughputExceeded, Message: fmt.Sprintf("Rate exceeded for shard %s in stream %s under account %s.", shard, name, s.o.Account)}
}

const (
	throughputExceeded = "ProvisionedThroughputExceededException"
	internalFailure    = "InternalFailure"
)

// streamFault is the answer to an error of a stream, whose text is ours where no case of the API knows it better.
func (s *Service) streamFault(err error) *wire.Fault {
	var throttled *capacity.ThrottledError
	var size *stream.RecordSizeError
	kind := ""
	switch {
	case errors.As(err, &throttled):
		return s.tooFast(throttled.Shard.String(), throttled.Stream).(*wire.Fault)
	case errors.Is(err, stream.ErrFull):
		kind = throughputExceeded
	case errors.Is(err, stream.ErrNotFound):
		kind = "ResourceNotFoundException"
	case errors.Is(err, stream.ErrExists), errors.Is(err, control.ErrInUse), errors.Is(err, stream.ErrConflict):
		kind = "ResourceInUseException"
	case errors.Is(err, stream.ErrLimit):
		kind = "LimitExceededException"
	case errors.Is(err, stream.ErrInvalid), errors.As(err, &size):
		kind = "InvalidArgumentException"
	default:
		return &wire.Fault{Type: internalFailure, Message: "The request could not be carried out; the server's log tells why.", Status: http.StatusInternalServerError}
	}
	return &wire.Fault{Type: kind, Message: err.Error()}
}
