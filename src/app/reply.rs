//! The reply to every request that stages nothing, at both doors.

use std::net::SocketAddr;

use super::answers::Answers;
use super::meters::BatchRefusal;
use super::operator;
use super::pages::Sender;
use super::routes::{Entrance, Resolution, Service, allowed, not_found};
use crate::http::Request;
use crate::server::Reply;

/// Answers a request that came in at `entrance`. An event or a list of events gets here only if it may
/// not be staged.
pub(super) fn reply(
    answers: &mut Answers,
    entrance: Entrance,
    resolution: Resolution,
    peer: &SocketAddr,
    request: &Request<'_>,
    out: &mut Vec<u8>,
) -> Reply {
    let sender = Sender::of(request, &answers.shared.allow_origin);
    let grant = resolution.route().map(|route| sender.grant(route)).unwrap_or_default();
    let clerk = answers.clerk(resolution.row(), peer, request, out).granting(&grant);
    let reply = match resolution {
        _ if sender == Sender::Foreign && resolution.is_change() => operator::foreign_page(clerk),
        Resolution::Found(number) => match number.route().service {
            Service::Event => operator::coded_content(clerk),
            Service::Events => {
                clerk.meters().refuse_batch(BatchRefusal::Coded);
                operator::coded_content(clerk)
            }
            Service::Plain(answer) | Service::OfStatistics(answer) => answer(clerk),
        },
        Resolution::Options(number) => {
            let permission = resolution.route().map(|route| sender.permission(route, request));
            operator::options(clerk, allowed(number), &permission.unwrap_or_default())
        }
        Resolution::MethodNotAllowed(number) => {
            operator::method_not_allowed(clerk, allowed(number))
        }
        Resolution::NotFound => operator::nothing(clerk, &not_found(entrance)),
        Resolution::NotImplemented => operator::not_implemented(clerk),
    };
    resolution.charge(reply)
}
