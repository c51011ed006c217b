// Prints biotope's events as they come, one line for each: `go run . nats://127.0.0.1:4222`. With -json whole events, with -stored
// also what was said before.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"syscall"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/vmihailenco/msgpack/v5"
)

func main() {
	stored := flag.Bool("stored", false, "begin with what the streams hold")
	asJSON := flag.Bool("json", false, "one JSON object a line")
	flag.Parse()
	server := flag.Arg(0)
	if server == "" {
		server = nats.DefaultURL
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := read(ctx, server, *stored, *asJSON); err != nil {
		log.Fatal(err)
	}
}

func read(ctx context.Context, server string, stored, asJSON bool) error {
	connection, err := nats.Connect(server, nats.Name("example-subscriber"))
	if err != nil {
		return fmt.Errorf("cannot connect to %s: %w", server, err)
	}
	defer connection.Close()
	show := func(payload []byte) { show(payload, asJSON) }
	if stored {
		streams, err := jetstream.New(connection)
		if err != nil {
			return err
		}
		for _, name := range []string{"BIOTOPE_BUILD", "BIOTOPE_EVENTS", "BIOTOPE_INCIDENTS"} {
			// Ordered: the client makes the consumer anew after a lost connection and goes on behind the last message.
			consumer, err := streams.OrderedConsumer(ctx, name, jetstream.OrderedConsumerConfig{})
			if err != nil {
				return fmt.Errorf("cannot read %s: %w", name, err)
			}
			reading, err := consumer.Consume(func(message jetstream.Msg) { show(message.Data()) })
			if err != nil {
				return fmt.Errorf("cannot read %s: %w", name, err)
			}
			defer reading.Stop()
		}
	} else if _, err := connection.Subscribe("biotope.v1.>", func(message *nats.Msg) { show(message.Data) }); err != nil {
		return err
	}
	if err := connection.Flush(); err != nil {
		return err
	}
	// Whoever starts this program waits for this line: from here on nothing is missed.
	fmt.Println("subscribed")
	<-ctx.Done()
	return nil
}

func show(payload []byte, asJSON bool) {
	var event map[string]any
	// Commands (biotope.v1.<cluster>.ask.>) and their like are no events.
	if err := msgpack.Unmarshal(payload, &event); err != nil || event["type"] == nil {
		return
	}
	if !asJSON {
		identity, _ := event["identity"].(map[string]any)
		fmt.Println(event["time"], event["type"], first(identity["pod_uid"], identity["image"]))
		return
	}
	line, err := json.Marshal(event)
	if err != nil {
		fmt.Fprintln(os.Stderr, "no JSON form:", err)
		return
	}
	fmt.Println(string(line))
}

func first(values ...any) any {
	for _, value := range values {
		if value != nil {
			return value
		}
	}
	return ""
}
