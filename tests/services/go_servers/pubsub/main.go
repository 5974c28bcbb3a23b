// A fake of Google Pub/Sub on free ports of this machine. It prints the addresses of the service and of an HTTP server
// that responds to /unacknowledged?topic=projects/P/topics/T with the number of such messages.
package main

import (
	"fmt"
	"log"
	"net"
	"net/http"

	"cloud.google.com/go/pubsub/v2/pstest"
)

func main() {
	server := pstest.NewServerWithAddress("127.0.0.1:0")
	http.HandleFunc("/unacknowledged", func(response http.ResponseWriter, request *http.Request) {
		count := 0
		for _, message := range server.Messages() {
			if message.Topic == request.URL.Query().Get("topic") && message.Acks == 0 {
				count++
			}
		}
		fmt.Fprint(response, count)
	})
	control, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("listening at %s %s\n", server.Addr, control.Addr())
	log.Fatal(http.Serve(control, nil))
}
