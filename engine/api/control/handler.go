package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/millrace-io/millrace/engine/record"
)

// maxRequest bounds the body of a request: MaxPutBytes in base64, with keys.
const maxRequest = 2 * MaxPutBytes

// Bodies of requests that are no type of the interfaces.
type (
	splitRequest struct {
		Shard record.ShardID  `json:"shard"`
		At    *record.HashKey `json:"at,omitempty"`
	}
	mergeRequest struct {
		A record.ShardID `json:"a"`
		B record.ShardID `json:"b"`
	}
	reshardRequest struct {
		Shards int `json:"shards"`
	}
	retentionRequest struct {
		Nanoseconds int64 `json:"nanoseconds"`
	}
	putRequest struct {
		Records []Record `json:"records"`
	}
	putResponse struct {
		Records []Placed `json:"records"`
	}
	encryptRequest struct {
		Key string `json:"key"`
	}
	rewrapResponse struct {
		Segments int `json:"segments"`
	}
	none struct{}
)

// Handler serves an Admin as JSON over HTTP: POST /v1/VERB?stream=NAME, the body is the request.
// It asks nobody who they are; what it listens on must.
func Handler(a Admin) http.Handler {
	mux := http.NewServeMux()
	verb(mux, "list", func(ctx context.Context, _ string, _ none) ([]Stream, error) { return a.List(ctx) })
	verb(mux, "create", func(ctx context.Context, _ string, r Spec) (none, error) { return none{}, a.Create(ctx, r) })
	verb(mux, "describe", func(ctx context.Context, name string, _ none) (Stream, error) { return a.Describe(ctx, name) })
	verb(mux, "delete", func(ctx context.Context, name string, _ none) (none, error) { return none{}, a.Delete(ctx, name) })
	verb(mux, "consumers", func(ctx context.Context, name string, _ none) ([]Consumer, error) { return a.Consumers(ctx, name) })
	verb(mux, "split", func(ctx context.Context, name string, r splitRequest) (none, error) {
		return none{}, a.Split(ctx, name, r.Shard, r.At)
	})
	verb(mux, "merge", func(ctx context.Context, name string, r mergeRequest) (none, error) {
		return none{}, a.Merge(ctx, name, r.A, r.B)
	})
	verb(mux, "reshard", func(ctx context.Context, name string, r reshardRequest) (none, error) {
		return none{}, a.Reshard(ctx, name, r.Shards)
	})
	verb(mux, "retention", func(ctx context.Context, name string, r retentionRequest) (none, error) {
		return none{}, a.SetRetention(ctx, name, time.Duration(r.Nanoseconds))
	})
	verb(mux, "configure", func(ctx context.Context, name string, s Settings) (none, error) {
		return none{}, a.Configure(ctx, name, s)
	})
	verb(mux, "encrypt", func(ctx context.Context, name string, r encryptRequest) (none, error) {
		return none{}, a.Encrypt(ctx, name, r.Key)
	})
	verb(mux, "decrypt", func(ctx context.Context, name string, _ none) (none, error) { return none{}, a.Decrypt(ctx, name) })
	verb(mux, "rewrap", func(ctx context.Context, name string, _ none) (rewrapResponse, error) {
		n, err := a.Rewrap(ctx, name)
		return rewrapResponse{n}, err
	})
	verb(mux, "put", func(ctx context.Context, name string, r putRequest) (putResponse, error) {
		placed, err := a.Put(ctx, name, r.Records)
		return putResponse{placed}, err
	})
	verb(mux, "read", func(ctx context.Context, name string, r ReadRequest) (Page, error) {
		r.Stream = name
		return a.Read(ctx, r)
	})
	return mux
}

// verb serves a method under its name.
func verb[Request, Response any](mux *http.ServeMux, name string, method func(ctx context.Context, stream string, r Request) (Response, error)) {
	mux.HandleFunc("POST /v1/"+name, func(w http.ResponseWriter, r *http.Request) {
		var request Request
		err := decode(http.MaxBytesReader(w, r.Body, maxRequest), &request)
		if err != nil {
			answer(w, http.StatusBadRequest, fault{Code: "invalid", Message: err.Error()})
			return
		}
		response, err := method(r.Context(), r.URL.Query().Get("stream"), request)
		if err != nil {
			f, status := faultOf(err)
			answer(w, status, f)
			return
		}
		answer(w, http.StatusOK, response)
	})
}

func decode(body io.Reader, into any) error {
	d := json.NewDecoder(body)
	d.DisallowUnknownFields()
	err := d.Decode(into)
	if errors.Is(err, io.EOF) {
		return nil // no body is the zero request
	}
	if err != nil {
		return fmt.Errorf("body of the request: %w", err)
	}
	return nil
}

func answer(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// A client that went away is its own affair.
	_ = json.NewEncoder(w).Encode(value)
}
