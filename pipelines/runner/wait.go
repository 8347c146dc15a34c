package runner

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	jobpb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/jobmanagement_v1"
	"google.golang.org/grpc/status"

	"github.com/profuser/profuser/transforms/sink"
)

// lastWords is how long a failed job's messages are waited for, cancelTime how long a cancellation may take.
const (
	lastWords  = 5 * time.Second
	cancelTime = 10 * time.Second
)

// wait follows a job to its end, or cancels it when ctx ends.
func wait(ctx context.Context, client jobpb.JobServiceClient, id, name string) error {
	err := follow(ctx, client, id, name)
	if ctx.Err() == nil {
		return err
	}
	cancelling, cancel := context.WithTimeout(context.WithoutCancel(ctx), cancelTime)
	defer cancel()
	if _, err := client.Cancel(cancelling, &jobpb.CancelJobRequest{JobId: id}); err != nil {
		return fmt.Errorf("cancelling job %s: %w", id, oneLine(err))
	}
	return context.Cause(ctx)
}

// follow reads the job's messages until it ends.
func follow(ctx context.Context, client jobpb.JobServiceClient, id, name string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := client.GetMessageStream(ctx, &jobpb.JobMessagesRequest{JobId: id})
	if err != nil {
		return jobError(name, fmt.Errorf("following job %s: %w", id, oneLine(err)))
	}
	said, failed := errors.New("the runner gives no reason"), false
	for {
		message, err := stream.Recv()
		switch {
		case failed && err != nil: // all has been said, or lastWords is over
			return jobError(name, said)
		case errors.Is(err, io.EOF):
			return ended(ctx, client, id, name)
		case err != nil:
			return jobError(name, fmt.Errorf("the job server has gone: %w", oneLine(err)))
		}
		if m := message.GetMessageResponse(); m.GetImportance() >= jobpb.JobMessage_JOB_MESSAGE_ERROR {
			said = errors.New(m.GetMessageText())
			if _, ok := sink.FaultText(said); ok || failed {
				return jobError(name, said)
			}
		}
		if s := message.GetStateResponse(); s != nil {
			switch s.GetState() {
			case jobpb.JobState_DONE:
				return nil
			case jobpb.JobState_CANCELLED:
				return fmt.Errorf("job %s was cancelled on its runner", id)
			case jobpb.JobState_FAILED:
				failed = true
				time.AfterFunc(lastWords, cancel)
			}
		}
	}
}

// ended asks for the state of a job whose messages have ended.
func ended(ctx context.Context, client jobpb.JobServiceClient, id, name string) error {
	s, err := client.GetState(ctx, &jobpb.GetJobStateRequest{JobId: id})
	if err == nil && s.GetState() == jobpb.JobState_DONE {
		return nil
	}
	return jobError(name, fmt.Errorf("the messages of job %s ended in state %v (%v)", id, s.GetState(), err))
}

// oneLineError shows a gRPC error by its message alone.
type oneLineError struct{ error }

func oneLine(err error) error { return oneLineError{err} }

// Error is the message on one line.
func (e oneLineError) Error() string {
	text := e.error.Error()
	if s, ok := status.FromError(e.error); ok && s.Message() != "" {
		text = s.Message()
	}
	return spaces.ReplaceAllString(text, " ")
}

// Unwrap returns the error.
func (e oneLineError) Unwrap() error { return e.error }
