//! The shipped examples against upstreams that behave as the public documentation of their APIs says: paging, what changed since,
//! limits, versions, deletes, errors. Each is synchronised both ways, and a second pass is quiet.

mod airtable;
mod asana;
mod github;
mod graph;
mod hubspot;
mod intercom;
mod jira;
mod kinto;
mod linear;
mod mailchimp;
mod mailchimp_lists;
mod notion;
mod people;
mod pipedrive;
mod quickbooks;
mod salesforce;
mod salesforce_bulk;
mod shopify;
mod shopify_bulk;
mod slack;
mod stripe;
mod twilio;
mod xero;
mod zendesk;
